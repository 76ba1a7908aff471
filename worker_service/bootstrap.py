"""Puts the worker together. The one place that knows all parts."""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from contract_runtime.topics import topic_of
from contract_runtime.version import VERSION
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.worker_pb2 import WorkerIdentity
from job_client._gen.jobs.v1.worker_service_pb2 import DESCRIPTOR
from job_client._gen.jobs.v1.worker_service_pb2_grpc import add_WorkerServiceServicer_to_server
from service_runtime.access.gate import BearerGate
from service_runtime.logging import show_in_every_line
from service_runtime.server import GrpcServer
from service_runtime.validation import ContractValidator
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.intake import Intake
from worker_service.claiming.worker_state import WorkerState
from worker_service.control.handler_schemas import handler_schemas
from worker_service.control.heartbeat import Heartbeat
from worker_service.control.membership import Membership
from worker_service.control.servicer import CALL_SECONDS, WorkerControl
from worker_service.execution.executor import Executor
from worker_service.execution.payloads import Payloads
from worker_service.execution.progress_board import ProgressBoard
from worker_service.execution.runner import Runner
from worker_service.handlers.registry import HandlerSpec
from worker_service.handlers.webhooks.delivery import LANE as WEBHOOK_LANE
from worker_service.kafka.committer import Committer
from worker_service.kafka.consumer import JobConsumer, KafkaAddress
from worker_service.kafka.offsets import OffsetTracker
from worker_service.reporting.log_sender import LogSender
from worker_service.reporting.reporter import Reporter
from worker_service.settings import WorkerSettings
from worker_service.worker import SERVER_GRACE_SECONDS, JobPath, Worker

log = structlog.get_logger()

MAX_CALLS = 1000
"""How many calls of Start, Stop and GetState the worker serves at a time."""
SESSION_BYTES = 32
WEBHOOK_SLOTS = 50
"""How many webhooks are sent at a time."""
INLINE_SLOTS = 100
"""How many jobs of plain handlers are claimed before their speed is known. They run one after the other."""


async def run_worker(
    settings: WorkerSettings,
    name: str,
    handlers: Mapping[str, HandlerSpec],
    prepare_process: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Run the worker of this `name` until `stop` is set. Raises PortTaken, NameTaken, WrongToken, or the
    failure of a part.

    `handlers`: of all types that this worker runs. `prepare_process` runs in each process that handlers run
    in, with the worker_id, and must be picklable.
    """
    state = WorkerState(
        new_identity(name, tuple(handlers)),
        lane_limits(settings),
        lane_names={job_type: spec.lane for job_type, spec in handlers.items()},
        schemas=handler_schemas(handlers),
    )
    show_in_every_line(worker_id=state.identity.worker_id)
    async with AsyncExitStack() as stack:
        endpoints, token = settings.api_server_endpoints, settings.token()
        # Shows that a call comes from the process that has registered, not from another that knows its id.
        session = secrets.token_urlsafe(SESSION_BYTES)
        api = await stack.enter_async_context(ApiClient(endpoints, token, session))
        # Heartbeats and control have their own connections, so that no large call delays them.
        control_api = await stack.enter_async_context(ApiClient(endpoints, token, session))
        server = control_server(settings, WorkerControl(control_api))
        await server.start()
        stack.push_async_callback(server.stop, SERVER_GRACE_SECONDS)
        executor = Executor(
            threads=settings.worker_threads,
            processes=settings.worker_processes,
            process_jobs=settings.worker_process_jobs,
            prepare_process=partial(prepare_process, state.identity.worker_id),
        )
        stack.push_async_callback(executor.close)
        worker = build_worker(settings, state, handlers, executor, api, control_api, server)
        # Also when a part has failed, so that this worker's partitions become free at once.
        stack.push_async_callback(worker.path.consumer.close)
        log.info("started", types=list(handlers), port=settings.worker_port)
        await worker.run(stop)


def new_identity(name: str, job_types: Sequence[str]) -> WorkerIdentity:
    """The identity of this process: the worker's name and a new incarnation."""
    now = Timestamp()
    now.GetCurrentTime()
    return WorkerIdentity(
        worker_id=f"{name}/{secrets.token_hex(4)}",
        name=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        types=job_types,
        start_time=now,
        version=VERSION,
    )


def lane_limits(settings: WorkerSettings) -> Mapping[str, int]:
    """How many jobs each lane runs at a time, by the lane's name."""
    return {
        "loop": settings.worker_concurrency,
        # A lane apart from that of async handlers, which take long: plain handlers are short, so many are
        # claimed ahead.
        "inline": INLINE_SLOTS,
        WEBHOOK_LANE: WEBHOOK_SLOTS,
        "thread": settings.worker_threads,
        "process": settings.worker_processes,
    }


def control_server(settings: WorkerSettings, control: WorkerControl) -> GrpcServer:
    """The server of WorkerService, not started."""
    server = GrpcServer(
        settings.worker_host,
        settings.worker_port,
        deadline=CALL_SECONDS,
        gate=BearerGate() if settings.auth_mode == "tokens" else None,
        has_reflection=settings.has_reflection,
        max_calls=MAX_CALLS,
    )
    server.add(
        DESCRIPTOR.services_by_name["WorkerService"],
        lambda grpc_server: add_WorkerServiceServicer_to_server(control, grpc_server),
    )
    return server


def build_worker(
    settings: WorkerSettings,
    state: WorkerState,
    handlers: Mapping[str, HandlerSpec],
    executor: Executor,
    api: ApiClient,
    control_api: ApiClient,
    server: GrpcServer,
) -> Worker:
    """A job's path, and the parts around it."""
    board = ProgressBoard()
    path = build_path(settings, state, handlers, executor, board, api)
    heartbeat = Heartbeat(state, control_api, path.claimer, path.runner, board, path.consumer, Backoff())
    return Worker(
        state,
        path,
        heartbeat,
        Membership(state, path.consumer, server),
        server,
        drain_timeout=settings.worker_drain_timeout,
        loop_timeout=settings.worker_loop_timeout,
    )


def build_path(
    settings: WorkerSettings,
    state: WorkerState,
    handlers: Mapping[str, HandlerSpec],
    executor: Executor,
    board: ProgressBoard,
    api: ApiClient,
) -> JobPath:
    """A job's path through the worker: consumer, intake, claimer, runner, reporter.

    Each part gets the part after it, so the last one is built first.
    """
    updates = StatusUpdates(api)
    logs = LogSender(state.identity.worker_id, executor.lines, api)
    reporter = Reporter(state, updates, Backoff(), logs)
    runner = Runner(handlers, executor, Payloads(api, Backoff), board, reporter, state.in_flight)
    committer = Committer(OffsetTracker(), Backoff())
    claimer = Claimer(state, updates, runner, committer, Backoff())
    lanes = {topic_of(job_type): state.lanes[spec.lane] for job_type, spec in handlers.items()}
    validator = ContractValidator()
    validator.warm(DispatchRecord)
    intake = Intake(state, lanes, claimer, committer.tracker, committer, validator)
    address = KafkaAddress(
        settings.kafka_bootstrap_servers,
        settings.kafka_group_id,
        state.identity.name,
        settings.kafka_fetch_max_wait,
    )
    consumer = JobConsumer(address, lanes, intake, committer, state.pause_wake, Backoff())
    return JobPath(consumer, committer, claimer, runner, reporter, logs)
