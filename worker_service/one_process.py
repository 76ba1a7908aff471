"""One worker: its handlers, its name, then the worker itself until SIGTERM or SIGINT."""

import asyncio
import functools
import os
import socket
from collections.abc import Mapping

import structlog

from contract_runtime.credentials import WrongToken
from contract_runtime.webhooks import WEBHOOK_TYPE
from service_runtime.log_output import print_error
from service_runtime.run import run_service
from service_runtime.server import PortTaken
from service_runtime.settings import WRONG_SETTINGS_STATUS, exit_with_wrong_settings
from worker_service.bootstrap import run_worker
from worker_service.control.registration import NameTaken
from worker_service.default_name import NoFreeName, take_default_name
from worker_service.execution.handler_log import prepare_log
from worker_service.execution.prints import log_prints
from worker_service.execution.process_exit import run_and_exit
from worker_service.handlers.registry import HandlerSpec, WrongHandlers, load_handlers
from worker_service.handlers.webhooks import webhook_handler
from worker_service.settings import MAX_JOB_TYPES, WorkerSettings

log = structlog.get_logger()


def run(settings: WorkerSettings, number: int | None) -> int:
    """Returns the exit status: 0 after an orderly end, 1 after a failure. `number`: of this process, if there
    are several.

    Wrong settings, and a name that another process has, end the process with status 2.
    """
    prepare_process = functools.partial(prepare_log, settings, number)
    log_prints()
    # Processes that run handlers must not inherit it.
    os.environ.pop("WORKER_TOKEN", None)
    own = settings if number is None else settings.of_process(number)
    handlers = handlers_for(own)
    name = own.worker_name or name_of_this_process()

    async def work(stop: asyncio.Event) -> int:
        try:
            await run_worker(own, name, handlers, prepare_process, stop)
        except (PortTaken, WrongToken):
            raise
        except NameTaken as error:
            print_error(f"WORKER_NAME: {error}")
            return WRONG_SETTINGS_STATUS
        except Exception:
            log.exception("worker_failed")
            return 1
        return 0

    try:
        return run_service(lambda stop: run_and_exit(work(stop)))
    except PortTaken as error:
        exit_with_wrong_settings(f"WORKER_HOST, WORKER_PORT: {error}")
    except WrongToken as error:
        exit_with_wrong_settings(str(error))


def name_of_this_process() -> str:
    """A name that no other process of this host has. Ends the process with status 2 if there is none."""
    try:
        return take_default_name(socket.gethostname())
    except NoFreeName as error:
        exit_with_wrong_settings(
            "WORKER_NAME: must be set here, or TMPDIR must be a folder that can be written; "
            f"no name can be chosen: {error}"
        )


def webhook_handlers(settings: WorkerSettings) -> tuple[HandlerSpec, ...]:
    """The handler of webhooks, if there is a secret to sign them with."""
    keys = settings.webhook_keys
    return (webhook_handler(keys, settings.webhook_allowed_networks),) if keys else ()


def handlers_for(settings: WorkerSettings) -> Mapping[str, HandlerSpec]:
    """The handlers of the types that this worker runs. Ends the process with status 2 if a handler is wrong
    or missing, or if there are too many.
    """
    try:
        handlers = load_handlers(
            settings.worker_handlers, settings.worker_file_root, webhook_handlers(settings)
        )
    except WrongHandlers as error:
        exit_with_wrong_settings(str(error))
    job_types = tuple(handlers) if settings.worker_job_types is None else settings.worker_job_types
    if len(job_types) > MAX_JOB_TYPES:
        exit_with_wrong_settings(
            f"WORKER_JOB_TYPES: must name at most {MAX_JOB_TYPES} types; there are {len(job_types)} handlers"
        )
    for job_type in job_types:
        if job_type not in handlers:
            exit_with_wrong_settings(
                f"WORKER_JOB_TYPES: {job_type!r} is not allowed: no handler is known for it; there are "
                f"{', '.join(sorted(handlers))}, WORKER_HANDLERS can name modules with more, and "
                f"{WEBHOOK_TYPE} needs WEBHOOK_SECRET"
            )
    if unused := [each for each, spec in handlers.items() if spec.is_own and each not in job_types]:
        log.warning("handlers_not_used", types=unused, remedy="add these types to WORKER_JOB_TYPES")
    return {job_type: handlers[job_type] for job_type in job_types}
