"""Makes the services of the contract from the parts of one server."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from api_server.adapters.json_schema import compile_schema
from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.heartbeat_times import HeartbeatTimes
from api_server.domain.status_update import Leases
from api_server.feed.change_feed import ChangeFeed
from api_server.feed.demand import Demand
from api_server.feed.hint_feed import HintFeed
from api_server.feed.hints import Hints
from api_server.feed.waits import Waits
from api_server.feed.watches import Watches
from api_server.ports import Availability, DesiredFleet, Dispatcher, JobStore
from api_server.rpc.fleet_servicer import FleetServicer
from api_server.rpc.job_servicer import JobServicer
from api_server.schema_ports import PayloadCheck
from api_server.services.counted_failures import CountedLeases
from api_server.services.explanations import Explanations
from api_server.services.fleet import FleetService
from api_server.services.insight import Insight
from api_server.services.job_logs import JobLogs
from api_server.services.job_types import KnownJobTypes
from api_server.services.job_waits import JobWaits
from api_server.services.job_watches import JobWatches
from api_server.services.jobs import JobRules, JobService
from api_server.services.live_types import LiveTypes
from api_server.services.operation_watches import OperationWatches
from api_server.services.operations import OperationService
from api_server.services.payload_schemas import PayloadSchemas
from api_server.services.permissions import JobPermissions
from api_server.services.stats import Stats
from api_server.services.stopped_claims import StoppedClaims
from api_server.services.type_list import TypeList
from api_server.services.worker_sessions import UpdatesOfWorkers, WorkerSessions
from api_server.settings import ApiServerSettings
from api_server.stats_ports import ActivityLog


class Feed:
    """The parts that tell waiting calls what has happened."""

    def __init__(self, settings: ApiServerSettings, stores: MongoStores) -> None:
        demand = Demand()
        self.waits = Waits(settings.max_waits, demand)
        self.watches = Watches(settings.max_watches, demand)
        self.hints = Hints()
        self.changes = ChangeFeed(stores.changes, stores.jobs, demand, self.waits, self.watches)
        self.hint_feed = HintFeed(stores.hints, self.hints)

    def close(self) -> None:
        """End all calls that wait."""
        self.waits.close()
        self.watches.close()
        self.hints.close()


@dataclass(frozen=True, slots=True)
class Parts:
    """What the services of one server share. `jobs`: the store of jobs, which tells `feed` its changes."""

    settings: ApiServerSettings
    stores: MongoStores
    jobs: JobStore
    feed: Feed
    dispatcher: Dispatcher
    types: KnownJobTypes
    activity: ActivityLog
    fence: DesiredFleet
    availability: Availability
    wake_operations: Callable[[], None]

    @property
    def times(self) -> HeartbeatTimes:
        return heartbeat_times(self.settings)


@dataclass(frozen=True, slots=True)
class Servicers:
    """The two services of the contract, and the parts of them that run beside the server."""

    jobs: JobServicer
    fleet: FleetServicer
    type_list: TypeList
    live_types: LiveTypes


def make_servicers(parts: Parts) -> Servicers:
    settings, stores, feed, clock = parts.settings, parts.stores, parts.feed, parts.stores.clock
    leases = CountedLeases(stores.jobs, parts.activity)
    fleet = FleetService(
        stores.workers, stores.fleet, leases, clock, parts.times, parts.types, parts.availability
    )
    schemas = PayloadSchemas(stores.schemas, compile_schema)
    type_list = TypeList(parts.types, fleet, stores.counts, schemas)
    live_types = LiveTypes(stores.workers, clock, parts.times, schemas)
    sessions = WorkerSessions(stores.workers)
    logs = JobLogs(stores.job_logs)
    jobs = JobServicer(
        job_service(parts, schemas, sessions),
        JobWaits(parts.jobs, feed.waits, settings.max_wait),
        job_watches(parts, logs),
        live_types,
        OperationService(stores.operations, parts.jobs, clock, parts.wake_operations),
        OperationWatches(stores.operations, feed.hints, feed.watches, settings.watch_heartbeat),
        Insight(
            Explanations(stores.inspection, fleet, clock),
            type_list,
            Stats(stores.activity, stores.counts, parts.types, live_types, clock),
            logs,
        ),
    )
    fleet_servicer = FleetServicer(fleet, logs, stores.schemas, sessions, JobPermissions(parts.jobs))
    return Servicers(jobs, fleet_servicer, type_list, live_types)


def job_watches(parts: Parts, logs: JobLogs) -> JobWatches:
    stream, feed = parts.stores.changes, parts.feed
    return JobWatches(
        parts.jobs, stream, feed.changes, feed.watches, logs, feed.hints, parts.settings.watch_heartbeat
    )


def job_service(parts: Parts, payloads: PayloadCheck, sessions: WorkerSessions) -> JobService:
    unfenced = timedelta(seconds=parts.settings.unfenced_lease)
    return JobService(
        parts.jobs,
        parts.stores.keys,
        parts.stores.clock,
        parts.dispatcher,
        UpdatesOfWorkers(sessions, StoppedClaims(parts.fence, parts.stores.jobs)),
        JobRules(
            parts.types,
            Leases(worker=parts.times.lease, unfenced=unfenced),
            notify=parts.settings.job_notify,
            payloads=payloads,
        ),
        parts.activity,
    )


def heartbeat_times(settings: ApiServerSettings) -> HeartbeatTimes:
    return HeartbeatTimes(
        timedelta(seconds=settings.job_lease), timedelta(seconds=settings.heartbeat_interval)
    )
