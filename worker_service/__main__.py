"""`python -m worker_service` runs one worker, or a supervisor of several.

The environment has the settings.
"""

import sys

from service_runtime.logging import configure_logging
from service_runtime.settings import load_settings, warn_of_mistyped_settings
from service_runtime.supervisor import join_supervisor, supervise
from worker_service.execution.handler_log import HandlerLog
from worker_service.settings import WorkerSettings


def main() -> int:
    """Returns the exit status."""
    settings = load_settings(WorkerSettings)
    number = join_supervisor(sys.argv[1:])
    configure_logging(settings, number, HandlerLog())
    if number is None:
        warn_of_mistyped_settings(WorkerSettings)
    if number is None and settings.worker_count > 1:
        return supervise("worker_service", settings.worker_count)
    # Not imported above: a supervisor does not need it, nor do the processes of handlers, which import this
    # module too.
    from worker_service.one_process import run  # noqa: PLC0415 - see above

    return run(settings, number)


if __name__ == "__main__":
    sys.exit(main())
