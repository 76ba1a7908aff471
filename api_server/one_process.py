"""Runs the API server: `python -m api_server`, settings from the environment."""

import logging
import sys

import structlog

from api_server.bootstrap import serve
from api_server.settings import ApiServerSettings
from service_runtime.logging import configure_logging
from service_runtime.run import run_service
from service_runtime.server import PortTaken
from service_runtime.settings import exit_with_wrong_settings, load_settings


def main() -> None:
    settings = load_settings(ApiServerSettings)
    configure_logging(settings)
    # A line for each partition and retry; our own lines tell an outage once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        run_service(lambda stop: serve(settings, stop))
    except PortTaken as error:
        exit_with_wrong_settings(f"API_SERVER_HOST, API_SERVER_PORT: {error}")
    except Exception:  # noqa: BLE001 - the last resort, so that the log says why the process ends
        structlog.get_logger().exception("api_server_failed")
        sys.exit(1)


if __name__ == "__main__":
    main()
