"""How the cost changes with the number of stored jobs and with the number of waiting jobs."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import grpc
import uuid_utils.compat

from bench import systems
from bench.json_file import save_json
from bench.load.grpc_load import BATCH_CREATE, create_in_batches, create_one_by_one, has_method, parts
from bench.load.submitted import Submitted
from bench.measure import measure
from bench.plot import curves, save_svg
from bench.report import number, shown, table
from bench.servers import data_directory
from bench.settings import BenchSettings
from bench.stats import Spread, percentile, spread
from bench.systems import JobSystem
from bench.work import Numbers, digest, text
from job_client._gen.jobs.v1 import fleet_service_pb2, job_service_pb2
from job_client._gen.jobs.v1.fleet_service_pb2_grpc import FleetServiceStub
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub

DRAIN_SECONDS = 1800.0
SEED_BATCH = 5_000
READS = 300
PAGE = 50
CREATE = "Create"


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """With `stored` ended jobs in the database: jobs/s by method, and milliseconds per read."""

    stored: int
    rates: dict[str, Spread]
    get_p50: float
    get_p99: float
    list_p50: float
    list_p99: float


@dataclass(frozen=True, slots=True)
class WaitingPoint:
    """With `waiting` jobs when the workers start: jobs/s until the last job has ended, CPU seconds per 1,000
    jobs.
    """

    waiting: int
    rate: float
    cpu_per_1000: float


def scaling(settings: BenchSettings, show: Callable[[str], None]) -> None:
    """Raises StackError, BenchFailed, grpc.RpcError."""
    with (
        data_directory(settings.output) as directory,
        systems.ours(directory, settings.api_servers, settings.workers) as system,
    ):
        curve = Scaling(settings, system)
        stored = []
        for level in sorted(settings.stored):
            stored.append(curve.with_stored(level))
            show(f"  {level:,} stored: measured")
        waiting = []
        for level in sorted(settings.waiting):
            waiting.append(curve.with_waiting(level))
            show(f"  {level:,} waiting: measured")
    settings.output.mkdir(parents=True, exist_ok=True)
    tables = f"{stored_table(stored)}\n\n{waiting_table(waiting)}\n"
    show(f"\n{tables}")
    (settings.output / "scaling.md").write_text(tables)
    data = {"stored": [asdict(each) for each in stored], "waiting": [asdict(each) for each in waiting]}
    save_json(data, settings.output / "scaling.json")
    lines = {name: [(each.stored, each.rates[name].median) for each in stored] for name in stored[0].rates}
    save_svg(curves("jobs/s by jobs stored", lines), settings.output / "scaling.svg")


class Scaling:
    """Measures one system at growing levels."""

    def __init__(self, settings: BenchSettings, system: JobSystem) -> None:
        self._settings = settings
        self._system = system
        self._numbers = Numbers()
        self._one_by_one(settings.warm_up_jobs)
        system.wait_drained(DRAIN_SECONDS)

    def with_stored(self, level: int) -> StoredPoint:
        """Add ended jobs until there are `level`, then measure."""
        self._seed(level - self._system.database.jobs.estimated_document_count())
        rates = {CREATE: self._rates(lambda: self._one_by_one(self._settings.grpc_jobs))}
        if has_method(BATCH_CREATE):
            rates[BATCH_CREATE] = self._rates(lambda: self._in_batches(self._settings.batch_jobs))
        with grpc.insecure_channel(self._system.grpc_address) as channel:
            stub = JobServiceStub(channel)
            gets = timed(stub.Get, [job_service_pb2.GetRequest(id=str(each)) for each in self._some_ids()])
            lists = timed(stub.List, [job_service_pb2.ListRequest(page_size=PAGE)] * READS)
        return StoredPoint(
            stored=level,
            rates=rates,
            get_p50=percentile(gets, 0.5),
            get_p99=percentile(gets, 0.99),
            list_p50=percentile(lists, 0.5),
            list_p99=percentile(lists, 0.99),
        )

    def with_waiting(self, level: int) -> WaitingPoint:
        """Stop the workers, submit `level` jobs, start the workers and measure."""
        self._set_consuming(consuming=False)
        (self._in_batches if has_method(BATCH_CREATE) else self._one_by_one)(level)
        usage = self._system.servers.usage()
        sample = measure(usage, lambda: self._start(level), self._drained)
        return WaitingPoint(level, sample.rate, sample.cpu_per_1000)

    def _seed(self, missing: int) -> None:
        """Store copies of an ended job, each with its own id and text."""
        jobs = self._system.database.jobs
        pattern = jobs.find_one({"status": "completed"})
        first = self._numbers.take()
        for part in parts(range(first, first + max(missing, 0)), SEED_BATCH):
            jobs.insert_many([copy_of(pattern, number) for number in part], ordered=False)

    def _rates(self, submit: Callable[[], Submitted]) -> Spread:
        usage = self._system.servers.usage()
        return spread(measure(usage, submit, self._drained).rate for _ in range(self._settings.rounds))

    def _one_by_one(self, jobs: int) -> Submitted:
        return create_one_by_one(
            self._system.grpc_addresses, self._numbers.take(), jobs, self._settings.in_flight
        )

    def _in_batches(self, jobs: int) -> Submitted:
        settings = self._settings
        return create_in_batches(
            self._system.grpc_addresses,
            self._numbers.take(),
            jobs,
            settings.batch_size,
            settings.batches_in_flight,
        )

    def _drained(self) -> None:
        self._system.wait_drained(DRAIN_SECONDS)

    def _some_ids(self) -> list[UUID]:
        """The ids of a random sample of the stored jobs."""
        sample = self._system.database.jobs.aggregate(
            [{"$sample": {"size": READS}}, {"$project": {"_id": 1}}]
        )
        return [document["_id"] for document in sample]

    def _set_consuming(self, *, consuming: bool) -> None:
        with grpc.insecure_channel(self._system.grpc_address) as channel:
            FleetServiceStub(channel).SetFleet(
                fleet_service_pb2.SetFleetRequest(consuming=consuming), timeout=10
            )

    def _start(self, waiting: int) -> Submitted:
        begin = time.perf_counter()
        self._set_consuming(consuming=True)
        return Submitted(waiting, time.perf_counter() - begin, 0.0)


def copy_of(pattern: Mapping[str, Any], number: int) -> dict[str, Any]:
    job_text = text(number)
    own = {
        "_id": uuid_utils.compat.uuid7(),
        "payload": {"input": job_text},
        "result": {"hash": digest(job_text)},
    }
    return {**pattern, **own}


def timed(call: Callable[[Any], object], requests: Iterable[Any]) -> list[float]:
    """The milliseconds of each call. The calls are made one after the other."""
    taken = []
    for request in requests:
        begin = time.perf_counter()
        call(request)
        taken.append((time.perf_counter() - begin) * 1000)
    return taken


def stored_table(points: Sequence[StoredPoint]) -> str:
    names = list(points[0].rates)
    rows = [
        [
            f"{each.stored:,}",
            *(shown(each.rates[name]) for name in names),
            *(number(value) for value in (each.get_p50, each.get_p99, each.list_p50, each.list_p99)),
        ]
        for each in points
    ]
    rates = [f"jobs/s by {name}" for name in names]
    return table(["jobs stored", *rates, "Get p50 ms", "Get p99 ms", "List p50 ms", "List p99 ms"], rows)


def waiting_table(points: Sequence[WaitingPoint]) -> str:
    rows = [[f"{each.waiting:,}", number(each.rate), number(each.cpu_per_1000)] for each in points]
    return table(["jobs waiting", "jobs/s", "CPU s/1,000"], rows)
