"""Puts the worker together. The one place that knows which parts there are."""

import asyncio
import functools
import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import structlog

from contract_runtime.topics import topic_of
from jobs.v1.dispatch_pb2 import DispatchRecord
from jobs.v1.worker_pb2 import WorkerIdentity
from jobs.v1.worker_service_pb2 import DESCRIPTOR
from jobs.v1.worker_service_pb2_grpc import add_WorkerServiceServicer_to_server
from service_runtime.server import GrpcServer
from service_runtime.validation import ContractValidator
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import InFlightJobs
from worker_service.claiming.intake import Intake
from worker_service.claiming.lanes import Lane
from worker_service.control.heartbeat import Heartbeat
from worker_service.control.membership import Membership
from worker_service.control.servicer import CALL_SECONDS, WorkerControl
from worker_service.execution.executor import Executor
from worker_service.execution.payloads import Payloads
from worker_service.execution.progress_board import ProgressBoard
from worker_service.execution.runner import Runner
from worker_service.handlers.registry import HandlerSpec
from worker_service.kafka.committer import Committer
from worker_service.kafka.consumer import JobConsumer, KafkaAddress
from worker_service.kafka.offsets import OffsetTracker
from worker_service.reporting.reporter import Reporter
from worker_service.settings import WorkerSettings
from worker_service.state.desired_fleet import DesiredFleet
from worker_service.state.totals import Totals
from worker_service.worker import Worker

log = structlog.get_logger()

SERVER_GRACE_SECONDS = 1.0
INLINE_PLACES = 100
"""Jobs of plain handlers of the loop, which run one after the other, that are claimed before it is known how fast they are."""


async def run_worker(
    settings: WorkerSettings,
    name: str,
    handlers: Mapping[str, HandlerSpec],
    prepare_process: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Run the worker of this `name` until `stop` is set. Raises PortTaken, NameTaken, or what a part of it failed of.

    `prepare_process` is run in each process that handlers run in, and must be picklable.
    """
    identity = new_identity(name, settings.worker_job_types)
    with structlog.contextvars.bound_contextvars(worker_id=identity.worker_id):
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(ApiClient(settings.api_server_endpoints))
            # Heartbeats and control have connections of their own: batches must not hold them up.
            heartbeat_api = await stack.enter_async_context(ApiClient(settings.api_server_endpoints))
            server = control_server(settings, WorkerControl(heartbeat_api))
            await server.start()
            stack.push_async_callback(server.stop, SERVER_GRACE_SECONDS)
            executor = Executor(
                threads=settings.worker_threads,
                processes=settings.worker_processes,
                process_jobs=settings.worker_process_jobs,
                prepare_process=prepare_process,
            )
            stack.push_async_callback(executor.close)
            worker = build_worker(settings, identity, handlers, executor, api, heartbeat_api, server)
            # Again, for a worker that ends by a failure: its partitions are free for others at once.
            stack.push_async_callback(worker.consumer.close)
            log.info("started", types=list(settings.worker_job_types), port=settings.worker_port)
            await worker.run(stop)


def new_identity(name: str, job_types: Sequence[str]) -> WorkerIdentity:
    """Who this process is: the worker's name and a new incarnation."""
    return WorkerIdentity(
        worker_id=f"{name}/{secrets.token_hex(4)}",
        name=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        types=job_types,
    )


def control_server(settings: WorkerSettings, control: WorkerControl) -> GrpcServer:
    """The server of WorkerService, not started."""
    server = GrpcServer(settings.worker_host, settings.worker_port, deadline=CALL_SECONDS)
    server.add(
        DESCRIPTOR.services_by_name["WorkerService"],
        lambda grpc_server: add_WorkerServiceServicer_to_server(control, grpc_server),
    )
    return server


def build_worker(
    settings: WorkerSettings,
    identity: WorkerIdentity,
    handlers: Mapping[str, HandlerSpec],
    executor: Executor,
    api: ApiClient,
    heartbeat_api: ApiClient,
    server: GrpcServer,
) -> Worker:
    """All parts, each given what it needs, in the order of a job's way backwards."""
    claims_wake, pauses_wake, membership_wake = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def on_desired_change() -> None:
        for lane in lanes.values():
            lane.shut_out(desired.stopped_types)
        for wake in (claims_wake, pauses_wake, membership_wake):
            wake.set()

    totals, in_flight, tracker = Totals(), InFlightJobs(), OffsetTracker()
    desired = DesiredFleet(identity.name, on_desired_change)
    board = ProgressBoard()
    limits: dict[str, int] = {
        "loop": settings.worker_concurrency,
        # Apart from handlers that wait: these are short, so many are claimed ahead.
        "inline": INLINE_PLACES,
        "thread": settings.worker_threads,
        "process": settings.worker_processes,
    }
    lanes = {
        name: Lane(limit, on_work=claims_wake.set, on_full_change=pauses_wake.set)
        for name, limit in limits.items()
    }
    validator = ContractValidator()
    validator.warm(DispatchRecord)
    updates = StatusUpdates(api)
    reporter = Reporter(identity.worker_id, updates, in_flight, totals, Backoff())
    payloads = Payloads(api, Backoff)
    runner = Runner(handlers, executor, payloads, board, report=reporter.put, leave=in_flight.leave)
    committer = Committer(tracker, Backoff())
    claimer = Claimer(
        identity.worker_id,
        updates,
        list(lanes.values()),
        in_flight,
        desired,
        totals,
        wake=claims_wake,
        backoff=Backoff(),
        finish=committer.finish,
        start=runner.start,
        give_up=runner.give_up,
        on_trouble_change=pauses_wake.set,
    )
    lanes_by_topic = {
        topic_of(job_type): lanes[handlers[job_type].lane] for job_type in settings.worker_job_types
    }
    intake = Intake(
        lanes_by_topic, tracker, desired, claimer, in_flight, validator, totals, finish=committer.finish
    )
    consumer = JobConsumer(
        KafkaAddress(settings.kafka_bootstrap_servers, settings.kafka_group_id, identity.name),
        lanes_by_topic,
        intake,
        tracker,
        committer,
        pauses_wake=pauses_wake,
        backoff=Backoff(),
    )
    heartbeat = Heartbeat(
        identity,
        heartbeat_api,
        in_flight,
        desired,
        totals,
        claimer,
        board,
        give_up=runner.give_up,
        assignment=consumer.assignment,
        backoff=Backoff(),
    )
    return Worker(
        heartbeat=heartbeat,
        membership=Membership(consumer, desired, server.set_serving, wake=membership_wake),
        consumer=consumer,
        committer=committer,
        claimer=claimer,
        runner=runner,
        reporter=reporter,
        in_flight=in_flight,
        totals=totals,
        lanes=lanes,
        set_serving=server.set_serving,
        stop_serving=functools.partial(server.stop, SERVER_GRACE_SECONDS),
        drain_timeout=settings.worker_drain_timeout,
        loop_timeout=settings.worker_loop_timeout,
    )
