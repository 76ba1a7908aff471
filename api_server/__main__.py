"""Runs the API server: `python -m api_server`, with settings from the environment.

This is one process, or the parent of several. `python -m api_server tokens` is a command of its own, see
tokens_command.py.
"""

import sys

from api_server import tokens_command
from api_server.settings import ApiServerSettings
from service_runtime.logging import configure_logging
from service_runtime.settings import load_settings, warn_of_mistyped_settings
from service_runtime.supervisor import join_supervisor, supervise


def main() -> int:
    """The exit status."""
    if sys.argv[1:2] == [tokens_command.NAME]:
        return tokens_command.main(sys.argv[2:])
    settings = load_settings(ApiServerSettings)
    number = join_supervisor(sys.argv[1:])
    configure_logging(settings, number)
    if number is None:
        warn_of_mistyped_settings(ApiServerSettings)
    if number is None and settings.api_server_processes > 1:
        return supervise("api_server", settings.api_server_processes)
    # Imported late: a parent process needs none of it.
    from api_server.one_process import run  # noqa: PLC0415

    return run(settings if number is None else settings.of_process(number))


if __name__ == "__main__":
    sys.exit(main())
