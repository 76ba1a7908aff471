"""Runs workers: `python -m worker_service`, settings from the environment; one worker, or a parent of several."""

import sys

from service_runtime.logging import configure_logging
from service_runtime.settings import load_settings
from service_runtime.supervisor import join_supervisor, supervise
from worker_service.settings import WorkerSettings


def main() -> int:
    """The exit status."""
    settings = load_settings(WorkerSettings)
    number = join_supervisor(sys.argv[1:])
    configure_logging(settings, number)
    if number is None and settings.worker_count > 1:
        return supervise("worker_service", settings.worker_count)
    # A parent needs nothing of it, nor do the processes that handlers run in, which import this module too.
    from worker_service.one_process import run  # noqa: PLC0415

    return run(settings, number)


if __name__ == "__main__":
    sys.exit(main())
