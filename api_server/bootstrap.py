"""Wires the API server: the adapters, the loops and the services. Parts are closed in the opposite order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog

from api_server.adapters.kafka.partition_offsets import PartitionOffsets
from api_server.adapters.kafka.publisher import KafkaPublisher
from api_server.adapters.kafka.topics import KafkaTopics
from api_server.adapters.mongo.stores import MongoStores, connect
from api_server.dispatch.dispatcher import QueuedDispatcher
from api_server.domain.errors import StoreUnavailable
from api_server.feed.told_jobs import ToldJobs
from api_server.notifications.notification_loop import NotificationLoop
from api_server.operations.operation_loop import OperationLoop
from api_server.recovery.due_loop import DueLoop
from api_server.recovery.store_health import StoreHealth
from api_server.servicers import Feed, Parts, Servicers, heartbeat_times, make_servicers
from api_server.services.activity import ActivityRecorder
from api_server.services.counted_failures import CountedDue
from api_server.services.fleet_fence import FleetFence
from api_server.services.job_logs import LogSweep
from api_server.services.job_types import KnownJobTypes
from api_server.settings import ApiServerSettings
from contract_runtime.webhooks import WEBHOOK_TYPE
from job_client._gen.jobs.v1 import fleet_service_pb2, job_service_pb2
from job_client._gen.jobs.v1.fleet_service_pb2_grpc import add_FleetServiceServicer_to_server
from job_client._gen.jobs.v1.job_service_pb2_grpc import add_JobServiceServicer_to_server
from service_runtime.access.gate import Gate, OpenGate, TokenGate
from service_runtime.access.token_file import TokenFile
from service_runtime.server import GrpcServer
from service_runtime.settings import ANY_TYPE

log = structlog.get_logger()

CONNECT_RETRY = 1.0


async def serve(settings: ApiServerSettings, gate: Gate, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then shut down in order. Raises PortTaken. `gate`: decides who may call.

    Longer than other functions, because it is the list of parts in the order in which they start.
    """
    async with AsyncExitStack() as opened:
        stores = await opened.enter_async_context(stores_when_reachable(settings, stop))
        if stores is None:
            return
        types = known_job_types(settings, stores)
        topics = KafkaTopics(
            settings.kafka_bootstrap_servers,
            types,
            settings.kafka_partitions,
            settings.kafka_replication_factor,
            settings.kafka_min_insync_replicas,
        )
        offsets = PartitionOffsets(settings.kafka_bootstrap_servers, settings.kafka_group_id)
        opened.push_async_callback(offsets.close)
        publisher = KafkaPublisher(settings.kafka_bootstrap_servers, topics, stores.clock)
        opened.push_async_callback(publisher.close)

        dispatcher = QueuedDispatcher(publisher, stores.due, stores.clock)
        await dispatcher.start()
        opened.push_async_callback(dispatcher.stop)

        store_health = StoreHealth(stores, stores.clock, heartbeat_times(settings).heartbeat_interval)
        fence = FleetFence(stores.fleet)
        feed = Feed(settings, stores)
        jobs = ToldJobs(stores.jobs, feed.waits)
        activity = ActivityRecorder(stores.activity, stores.clock, types)
        opened.push_async_callback(activity.store)
        due_loop = DueLoop(
            CountedDue(stores.due, activity),
            stores.due_lease,
            publisher,
            offsets,
            stores.clock,
            types,
            heartbeat_times(settings),
        )
        operation_loop = OperationLoop(
            stores.operations, jobs, stores.unfinished, dispatcher, stores.clock, lambda: due_loop.is_leader
        )
        notification_loop = NotificationLoop(
            stores.unnotified,
            jobs,
            dispatcher,
            stores.clock,
            activity,
            lambda: due_loop.is_leader and WEBHOOK_TYPE in types,
        )
        servicers = make_servicers(
            Parts(
                settings,
                stores,
                jobs,
                feed,
                dispatcher,
                types,
                activity,
                fence,
                store_health,
                operation_loop.wake,
            )
        )
        await servicers.live_types.begin()
        server = make_server(settings, gate, servicers)
        await server.start()
        opened.push_async_callback(server.stop, settings.shutdown_grace)
        # Before the server's stop, which waits for calls.
        opened.callback(feed.close)

        # Started after the server: workers' leases are ended only after heartbeats could be served.
        await due_loop.start()
        opened.push_async_callback(due_loop.stop)

        for background in (
            types.run(),
            topics.create_as_needed(),
            servicers.live_types.run(),
            servicers.type_list.watch(lambda: due_loop.is_leader),
            activity.run(),
            follow_health(server, store_health),
            fence.run(),
            feed.changes.run(),
            feed.hint_feed.run(),
            operation_loop.run(),
            LogSweep(stores.job_logs, lambda: due_loop.is_leader).run(),
            notification_loop.run(),
        ):
            await opened.enter_async_context(running(background))
        log.info("api_server_started", address=server.address, auth_mode=settings.auth_mode)
        await stop.wait()
        log.info("api_server_stopping", shutdown_delay=settings.shutdown_delay)
        # Calls are still served during the delay: not every client has chosen another server yet.
        await server.turn_away(settings.shutdown_delay)


@asynccontextmanager
async def stores_when_reachable(
    settings: ApiServerSettings, stop: asyncio.Event
) -> AsyncIterator[MongoStores | None]:
    """The stores as soon as MongoDB answers; None if `stop` is set before."""
    async with AsyncExitStack() as opened:
        stores = None
        waiting = False
        while stores is None and not stop.is_set():
            try:
                stores = await opened.enter_async_context(
                    connect(settings.mongodb_uri, settings.mongodb_database, settings.job_retention)
                )
            except StoreUnavailable:
                if not waiting:
                    log.warning("waiting_for_mongodb")
                waiting = True
                await asyncio.sleep(CONNECT_RETRY)
        yield stores


def known_job_types(settings: ApiServerSettings, stores: MongoStores) -> KnownJobTypes:
    named = [each for each in settings.job_types if each != ANY_TYPE]
    if settings.job_notify and WEBHOOK_TYPE not in named:
        named.append(WEBHOOK_TYPE)
    return KnownJobTypes(named, stores.job_types if ANY_TYPE in settings.job_types else None)


def make_gate(settings: ApiServerSettings) -> Gate:
    """Raises WrongTokens."""
    if settings.auth_mode != "tokens" or settings.auth_tokens_file is None:
        return OpenGate()
    tokens = TokenFile(settings.auth_tokens_file)
    tokens.load()
    return TokenGate(tokens.principal_of)


def make_server(settings: ApiServerSettings, gate: Gate, servicers: Servicers) -> GrpcServer:
    server = GrpcServer(
        settings.api_server_host,
        settings.api_server_port,
        deadline=settings.request_deadline,
        gate=gate,
        has_reflection=settings.has_reflection,
        max_calls=settings.max_calls,
    )
    server.add(
        job_service_pb2.DESCRIPTOR.services_by_name["JobService"],
        partial(add_JobServiceServicer_to_server, servicers.jobs),
    )
    server.add(
        fleet_service_pb2.DESCRIPTOR.services_by_name["FleetService"],
        partial(add_FleetServiceServicer_to_server, servicers.fleet),
    )
    return server


async def follow_health(server: GrpcServer, store_health: StoreHealth) -> None:
    """Report SERVING while MongoDB answers."""
    serving = False
    while True:
        reachable = await store_health.check()
        if reachable != serving:
            serving = reachable
            await server.set_serving(serving)
            log.info("health_changed", serving=serving)
        await asyncio.sleep(store_health.interval)


@asynccontextmanager
async def running(background: Awaitable[None]) -> AsyncIterator[None]:
    """Run `background` beside the block, and cancel it afterwards."""
    task = asyncio.ensure_future(background)
    task.add_done_callback(log_failure)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def log_failure(task: asyncio.Future[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("background_task_failed", exc_info=error)
