"""The service on a real database, with a dispatcher that only records its calls."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from api_server.adapters.json_schema import compile_schema
from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.creation import DISPATCH_GRACE
from api_server.domain.fleet import Fleet
from api_server.domain.heartbeat_times import HeartbeatTimes
from api_server.domain.job import Dispatch, Status
from api_server.domain.notification import NOBODY, NotifyDefaults
from api_server.domain.status_update import Leases
from api_server.feed.change_feed import ChangeFeed
from api_server.feed.demand import Demand
from api_server.feed.hints import Hints
from api_server.feed.waits import Waits
from api_server.feed.watches import Watches
from api_server.rpc.job_servicer import JobServicer
from api_server.schema_ports import PayloadCheck, UncheckedPayloads
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
from api_server.services.stats import Stats
from api_server.services.stopped_claims import StoppedClaims
from api_server.services.type_list import TypeList
from api_server.stats_ports import ActivityLog

LEASES = Leases(worker=timedelta(seconds=15), unfenced=timedelta(hours=1))


class Offered:
    """A dispatcher that records its calls."""

    def __init__(self) -> None:
        self.offers: list[Dispatch] = []
        self.due_times: list[datetime] = []
        self.claims: list[UUID] = []
        self.withdrawals: list[UUID] = []
        self.grace = DISPATCH_GRACE

    def offer(self, dispatch: Dispatch, due_time: datetime) -> None:
        self.offers.append(dispatch)
        self.due_times.append(due_time)

    def jobs_claimed(self, job_ids: Sequence[UUID]) -> None:
        self.claims += job_ids

    def jobs_withdrawn(self, job_ids: Sequence[UUID]) -> None:
        self.withdrawals += job_ids


class AlwaysAvailable:
    """A server that has been able to serve heartbeats for an hour."""

    def unbroken_seconds(self) -> float | None:
        return 3600.0


class AlwaysConsuming:
    """A fleet of which nothing is stopped."""

    async def desired(self) -> Fleet:
        return Fleet()


def job_waits(store: Any, limit: int = 100) -> JobWaits:
    """Waits that are told of nothing: they look at the database once, at their begin."""
    return JobWaits(store, Waits(limit, Demand()), longest=60.0)


def job_watches(stores: MongoStores) -> JobWatches:
    """Watches without a feed: none can begin."""
    demand = Demand()
    waits, watches = Waits(1, demand), Watches(1, demand)
    feed = ChangeFeed(stores.changes, stores.jobs, demand, waits, watches)
    logs = JobLogs(stores.job_logs)
    return JobWatches(stores.jobs, stores.changes, feed, watches, logs, Hints(), heartbeat=15.0)


class Uncounted(ActivityLog):
    """Counts nothing."""

    def created(self, job_type: str) -> None: ...

    def started(self, job_type: str) -> None: ...

    def ended(self, job_type: str, status: Status, job_id: UUID) -> None: ...

    def failed(self, job_type: str, count: int) -> None: ...


def service(
    stores: MongoStores,
    store: Any = None,
    offered: Offered | None = None,
    activity: ActivityLog | None = None,
    types: Sequence[str] = ("compute",),
    notify: NotifyDefaults = NOBODY,
    payloads: PayloadCheck | None = None,
) -> JobService:
    """The waits of its jobs have no jitter."""
    store = store or stores.jobs
    return JobService(
        store,
        stores.keys,
        stores.clock,
        offered or Offered(),
        StoppedClaims(AlwaysConsuming(), store),
        JobRules(
            KnownJobTypes(types),
            LEASES,
            chance=lambda: 0.5,
            notify=notify,
            payloads=payloads or UncheckedPayloads(),
        ),
        activity or Uncounted(),
    )


TIMES = HeartbeatTimes(LEASES.worker, timedelta(seconds=1))


def fleet_service(stores: MongoStores) -> FleetService:
    """Of a server that takes jobs of the type `compute`."""
    return FleetService(
        stores.workers,
        stores.fleet,
        stores.jobs,
        stores.clock,
        TIMES,
        KnownJobTypes(("compute",)),
        AlwaysAvailable(),
    )


def servicer(
    stores: MongoStores,
    store: Any = None,
    waits: JobWaits | None = None,
    watches: JobWatches | None = None,
    activity: ActivityLog | None = None,
    operation_watches: OperationWatches | None = None,
) -> JobServicer:
    """Of the same server."""
    fleet = fleet_service(stores)
    schemas = PayloadSchemas(stores.schemas, compile_schema)
    live_types = LiveTypes(stores.workers, stores.clock, TIMES, schemas)
    return JobServicer(
        service(stores, store, activity=activity),
        waits or job_waits(stores.jobs),
        watches or job_watches(stores),
        live_types,
        OperationService(stores.operations, stores.jobs, stores.clock, lambda: None),
        operation_watches
        or OperationWatches(stores.operations, Hints(), Watches(1, Demand()), heartbeat=15.0),
        Insight(
            Explanations(stores.inspection, fleet, stores.clock),
            TypeList(fleet.job_types, fleet, stores.counts, schemas),
            Stats(stores.activity, stores.counts, fleet.job_types, live_types, stores.clock),
            JobLogs(stores.job_logs),
        ),
    )
