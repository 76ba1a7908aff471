"""One process of the API server, until SIGTERM or SIGINT."""

import logging

import structlog

from api_server.bootstrap import make_gate, serve
from api_server.domain.errors import WrongStoreAddress
from api_server.settings import ApiServerSettings
from service_runtime.access.tokens import WrongTokens
from service_runtime.run import run_service
from service_runtime.server import PortTaken
from service_runtime.settings import exit_with_wrong_settings


def run(settings: ApiServerSettings) -> int:
    """Serve until the signal. Returns the exit status: 0 after an orderly end, 1 after a failure.

    If the port is taken, or the file of tokens or the address of MongoDB is wrong, the process exits with
    status 2.
    """
    try:
        gate = make_gate(settings)
    except WrongTokens as error:
        exit_with_wrong_settings(f"AUTH_TOKENS_FILE: {settings.auth_tokens_file}: {error}")
    # aiokafka logs a line for each partition and retry. Our own log has one line for an outage.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        run_service(lambda stop: serve(settings, gate, stop))
    except PortTaken as error:
        exit_with_wrong_settings(f"API_SERVER_HOST, API_SERVER_PORT: {error}")
    except WrongStoreAddress as error:
        exit_with_wrong_settings(f"MONGODB_URI: {error}")
    except Exception:  # noqa: BLE001 - the last resort, so that the log says why the process ends
        structlog.get_logger().exception("api_server_failed")
        return 1
    return 0
