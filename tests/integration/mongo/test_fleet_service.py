"""The workers' calls on a real database: names, heartbeats, and stops."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.attempt import Outcome
from api_server.domain.errors import WorkerNameTaken, WorkerNotFound, WorkerNotRegistered
from api_server.domain.fleet import Fleet, OneType, OneWorker, Part, WorkerIdentity, WorkerReport
from api_server.domain.heartbeat_times import HeartbeatTimes
from api_server.domain.job import Job, ProgressNote, Status
from api_server.domain.resolution import Applied
from api_server.domain.transitions import claim
from api_server.ports import EndedLeases, JobStore
from api_server.services.fleet import FleetService
from api_server.services.job_types import KnownJobTypes
from contract_runtime.errors import InvalidArgument
from tests.integration.mongo.jobs import LEASE, document, read, stored
from tests.integration.mongo.test_mongo_fleet import REPORT, identity

INTERVAL = timedelta(seconds=1)
PATIENCE = 3 * INTERVAL
MILLISECOND = timedelta(milliseconds=1)


class Server:
    """The FleetService of one server. The test sets its time, and the time since the last outage."""

    def __init__(self, stores: MongoStores, jobs: Any = None, types: KnownJobTypes | None = None) -> None:
        self.time = stores.clock.now()
        self.unbroken: float | None = 3600.0
        self.service = FleetService(
            stores.workers,
            stores.fleet,
            jobs or stores.jobs,
            self,
            HeartbeatTimes(LEASE, INTERVAL),
            types or KnownJobTypes(("compute", "data")),
            self,
        )

    def now(self) -> datetime:
        return self.time

    def unbroken_seconds(self) -> float | None:
        return self.unbroken

    async def has_name(self, who: WorkerIdentity) -> bool:
        """Whether `who` gets its name."""
        try:
            await self.service.register(who)
        except WorkerNameTaken:
            return False
        return True


async def held(stores: MongoStores, worker_id: str) -> Job:
    job = await stored(stores)
    now = stores.clock.now()
    (outcome,) = await stores.jobs.apply([claim(job.id, worker_id, 0, now, LEASE)])
    assert isinstance(outcome, Applied)
    return await read(stores, job.id)


# --- Names ---


async def test_a_newcomer_is_refused_while_the_holder_lives_and_the_error_names_the_holder(
    empty_stores: MongoStores,
) -> None:
    server = Server(empty_stores)
    await server.service.register(identity("a"))
    with pytest.raises(WorkerNameTaken) as caught:
        await server.service.register(replace(identity("a", 2), pid=8))
    assert caught.value.metadata == {
        "worker_id": "a/1",
        "host": "host",
        "pid": "7",
        "last_heartbeat_time": server.time.isoformat(timespec="milliseconds"),
    }
    assert "process 7 on host 'host'" in caught.value.message
    await server.service.heartbeat("a/1", [], REPORT)


async def test_registering_again_is_harmless(empty_stores: MongoStores) -> None:
    server = Server(empty_stores)
    job = await held(empty_stores, "a/1")
    for _ in range(2):
        assert await server.service.register(identity("a")) == Fleet()
    assert await read(empty_stores, job.id) == job


@pytest.mark.parametrize(("silent", "gone"), [(PATIENCE, False), (PATIENCE + MILLISECOND, True)])
async def test_a_holder_is_gone_when_it_was_silent_for_more_than_three_heartbeats(
    empty_stores: MongoStores, silent: timedelta, gone: bool
) -> None:
    server = Server(empty_stores)
    await server.service.register(identity("a"))
    server.time += timedelta(minutes=1)
    await server.service.heartbeat("a/1", [], REPORT)
    server.time += silent
    assert await server.has_name(identity("a", 2)) is gone


@pytest.mark.parametrize(("unbroken", "gone"), [(None, False), (0.0, False), (2.9, False), (3.0, True)])
async def test_silence_counts_only_while_heartbeats_could_be_served(
    empty_stores: MongoStores, unbroken: float | None, gone: bool
) -> None:
    server = Server(empty_stores)
    await server.service.register(identity("a"))
    server.time += timedelta(minutes=1)
    server.unbroken = unbroken
    assert await server.has_name(identity("a", 2)) is gone


@pytest.mark.parametrize(
    ("state", "in_flight", "named", "gone"),
    [
        ("draining", 0, 0, True),
        ("draining", 1, 0, False),
        # The worker is claiming that job, or has just claimed it.
        ("draining", 0, 1, False),
        ("paused", 0, 0, False),
    ],
)
async def test_a_holder_that_ended_in_order_is_replaced_at_once(
    empty_stores: MongoStores, state: str, in_flight: int, named: int, gone: bool
) -> None:
    server = Server(empty_stores)
    server.unbroken = None
    await server.service.register(identity("a"))
    job_ids = [uuid4() for _ in range(named)]
    await server.service.heartbeat("a/1", job_ids, WorkerReport(state, in_flight=in_flight))
    assert await server.has_name(identity("a", 2)) is gone


async def test_one_of_two_newcomers_on_two_servers_takes_over(empty_stores: MongoStores) -> None:
    servers = [Server(empty_stores), Server(empty_stores)]
    await servers[0].service.register(identity("a"))
    for server in servers:
        server.time += timedelta(minutes=1)
    registered = await asyncio.gather(
        *(server.has_name(identity("a", number)) for number, server in enumerate(servers, start=2))
    )
    assert sorted(registered) == [False, True]


async def test_a_take_over_ends_the_leases_of_the_dead_holder_and_no_others(
    empty_stores: MongoStores,
) -> None:
    server = Server(empty_stores)
    for name in ("a", "b"):
        await server.service.register(identity(name))
    jobs = [await held(empty_stores, worker_id) for worker_id in ("a/1", "a/1", "b/1")]
    server.time += timedelta(minutes=1)
    await server.service.heartbeat("b/1", [jobs[2].id], REPORT)
    assert await server.has_name(identity("a", 2))
    for job in jobs[:2]:
        lost = await read(empty_stores, job.id)
        assert (lost.status, lost.losses, lost.failures) == (Status.QUEUED, 1, 0)
        assert [(each.worker_id, each.outcome) for each in lost.history] == [("a/1", Outcome.LOST)]
        assert (await document(empty_stores, job.id))["due_time"] == server.time
    assert (await read(empty_stores, jobs[2].id)).worker_id == "b/1"
    with pytest.raises(WorkerNotRegistered):
        await server.service.heartbeat("a/1", [jobs[0].id], REPORT)


class ServerDied(Exception):
    """Stands for the end of the process."""


class DiesBeforeLeasesEnd:
    """The real store, but the server dies after a name was taken over."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def release_all(self, _worker_id: str, _now: datetime) -> EndedLeases:
        raise ServerDied


async def test_the_next_call_completes_a_take_over_during_which_the_server_died(
    empty_stores: MongoStores,
) -> None:
    dying, next_one = Server(empty_stores, DiesBeforeLeasesEnd(empty_stores.jobs)), Server(empty_stores)
    await dying.service.register(identity("a"))
    job = await held(empty_stores, "a/1")
    for server in (dying, next_one):
        server.time += timedelta(minutes=1)
    with pytest.raises(ServerDied):
        await dying.service.register(identity("a", 2))
    assert (await read(empty_stores, job.id)).worker_id == "a/1"
    assert await next_one.has_name(identity("a", 2))
    assert (await read(empty_stores, job.id)).status is Status.QUEUED


# --- Heartbeats ---


async def test_a_heartbeat_of_an_unknown_worker_is_refused_but_moves_its_leases(
    empty_stores: MongoStores,
) -> None:
    server = Server(empty_stores)
    job = await held(empty_stores, "a/1")
    server.time += LEASE * 0.9
    with pytest.raises(WorkerNotRegistered):
        await server.service.heartbeat("a/1", [job.id], REPORT)
    assert (await document(empty_stores, job.id))["due_time"] == server.time + LEASE


async def test_the_answer_to_a_heartbeat_names_the_jobs_to_stop(empty_stores: MongoStores) -> None:
    server = Server(empty_stores)
    await server.service.register(identity("a"))
    mine, other_s, queued = (
        await held(empty_stores, "a/1"),
        await held(empty_stores, "b/1"),
        await stored(empty_stores),
    )
    unknown = uuid4()
    named: list[UUID] = [queued.id, mine.id, unknown, other_s.id]
    answer = await server.service.heartbeat("a/1", named, REPORT)
    assert answer.stop == [queued.id, unknown, other_s.id]
    assert (await server.service.heartbeat("a/1", [mine.id], REPORT)).stop == []
    assert (await server.service.heartbeat("a/1", [], REPORT)).stop == []


async def test_a_heartbeat_stores_the_progress_of_jobs_that_the_worker_holds(
    empty_stores: MongoStores,
) -> None:
    server = Server(empty_stores)
    await server.service.register(identity("a"))
    mine, other_s = await held(empty_stores, "a/1"), await held(empty_stores, "b/1")
    notes = [ProgressNote(job.id, 1, 12.5, "reading") for job in (mine, other_s)]
    await server.service.heartbeat("a/1", [mine.id], REPORT, notes)
    progress = (await document(empty_stores, mine.id))["progress"]
    assert (progress["percent"], progress["message"]) == (12.5, "reading")
    assert "progress" not in await document(empty_stores, other_s.id)


# --- The desired state ---


async def confirming(server: Server, worker_id: str, call: Callable[[], Any]) -> Any:
    """The call's answer, while a worker confirms every revision that it receives."""

    async def follow() -> None:
        revision = 0
        while True:
            report = replace(REPORT, fleet_revision=revision)
            revision = (await server.service.heartbeat(worker_id, [], report)).fleet.revision

    following = asyncio.create_task(follow())
    try:
        return await call()
    finally:
        following.cancel()
        await asyncio.wait([following])


async def test_parts_are_stopped_and_started_and_live_workers_confirm(empty_stores: MongoStores) -> None:
    server = Server(empty_stores)
    await server.service.register(identity("a"))
    expected: list[tuple[bool, Part | None, Fleet]] = [
        (False, OneWorker("a"), Fleet(True, 1, ("a",))),
        (False, OneType("data"), Fleet(True, 2, ("a",), ("data",))),
        (False, OneType("data"), Fleet(True, 2, ("a",), ("data",))),
        (True, OneWorker("a"), Fleet(True, 3, (), ("data",))),
        (True, OneWorker("never heard of"), Fleet(True, 3, (), ("data",))),
        (False, None, Fleet(False, 4, (), ("data",))),
        (True, None, Fleet(True, 5)),
    ]

    async def all_of_them() -> None:
        for consuming, part, fleet in expected:
            assert await server.service.set_consuming(consuming, part) == (fleet, [])

    await confirming(server, "a/1", all_of_them)


async def test_a_worker_that_does_not_confirm_is_named(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_server.services.fleet.CONFIRMATION_TIMEOUT", 0.1)
    server = Server(empty_stores)
    await server.service.register(identity("a"))
    assert await server.service.set_consuming(False, OneType("data")) == (
        Fleet(True, 1, (), ("data",)),
        ["a/1"],
    )


@pytest.mark.parametrize(
    ("unbroken", "pending"), [(None, ["a/1"]), (0.0, ["a/1"]), (2.9, ["a/1"]), (3.0, [])]
)
async def test_a_silent_worker_is_waited_for_unless_its_heartbeats_could_be_served(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch, unbroken: float | None, pending: list[str]
) -> None:
    monkeypatch.setattr("api_server.services.fleet.CONFIRMATION_TIMEOUT", 0.1)
    server = Server(empty_stores)
    await server.service.register(identity("a"))
    server.time += PATIENCE + MILLISECOND
    server.unbroken = unbroken
    assert await server.service.set_consuming(False) == (Fleet(False, 1), pending)


@pytest.mark.parametrize("consuming", [True, False])
async def test_an_unknown_type_is_refused(empty_stores: MongoStores, consuming: bool) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await Server(empty_stores).service.set_consuming(consuming, OneType("video"))
    assert [violation.field for violation in caught.value.violations] == ["part.type"]
    assert await empty_stores.fleet.fleet() == Fleet()


async def test_workers_register_types_if_the_setting_allows_it(empty_stores: MongoStores) -> None:
    opened = Server(empty_stores, types=KnownJobTypes(("compute",), empty_stores.job_types))
    other = Server(empty_stores, types=KnownJobTypes(("compute",), empty_stores.job_types))
    closed = Server(empty_stores, types=KnownJobTypes(("compute",)))
    await closed.service.register(identity("a"))
    assert await empty_stores.job_types.names() == ()
    await opened.service.register(identity("b"))
    assert await empty_stores.job_types.names() == ("data",)
    assert [("data" in server.service.job_types) for server in (opened, closed)] == [True, False]
    # Another server does not know the type yet, and reads it.
    fleet, _ = await other.service.set_consuming(True, OneType("data"))
    assert fleet == Fleet()
    with pytest.raises(InvalidArgument):
        await closed.service.set_consuming(True, OneType("data"))


async def test_an_unknown_worker_cannot_be_stopped(empty_stores: MongoStores) -> None:
    with pytest.raises(WorkerNotFound, match="'a'"):
        await Server(empty_stores).service.set_consuming(False, OneWorker("a"))
    assert await empty_stores.fleet.fleet() == Fleet()


async def test_a_worker_can_be_stopped_for_an_hour_after_its_last_heartbeat(
    empty_stores: MongoStores,
) -> None:
    server = Server(empty_stores)
    server.time -= timedelta(minutes=59)
    await server.service.register(identity("a"))
    server.time += timedelta(minutes=59)
    fleet, pending = await server.service.set_consuming(False, OneWorker("a"))
    assert (fleet.stopped_workers, pending) == (("a",), [])


async def test_silent_workers_are_lost_and_those_that_ended_in_order_are_not_listed(
    empty_stores: MongoStores,
) -> None:
    server = Server(empty_stores)
    for name, state in [("ended", "draining"), ("lost", "consuming"), ("live", "consuming")]:
        await server.service.register(identity(name))
        await server.service.heartbeat(f"{name}/1", [], replace(REPORT, state=state))
    server.time += PATIENCE + MILLISECOND
    await server.service.heartbeat("live/1", [], REPORT)
    _, workers = await server.service.fleet()
    assert [(worker.identity.name, worker.report.state) for worker in workers] == [
        ("live", "consuming"),
        ("lost", "lost"),
    ]


@pytest.mark.parametrize(
    ("said", "partitions", "shown"),
    [
        ("consuming", {}, "idle"),
        ("consuming", {"jobs.compute": (0,)}, "consuming"),
        ("paused", {}, "paused"),
        ("draining", {}, "draining"),
    ],
)
async def test_a_worker_that_consumes_without_a_partition_is_idle(
    empty_stores: MongoStores, said: str, partitions: dict[str, tuple[int, ...]], shown: str
) -> None:
    server = Server(empty_stores)
    await server.service.register(identity("a"))
    await server.service.heartbeat(
        "a/1", [], replace(REPORT, state=said, assignments=partitions, in_flight=1)
    )
    _, [worker] = await server.service.fleet()
    assert (worker.report.state, worker.report.in_flight) == (shown, 1)


async def test_a_worker_that_drains_is_listed_until_it_reports_that_it_holds_no_job(
    empty_stores: MongoStores,
) -> None:
    server = Server(empty_stores)
    await server.service.register(identity("a"))
    for in_flight, listed in [(1, ["draining"]), (0, [])]:
        report = replace(REPORT, state="draining", in_flight=in_flight)
        await server.service.heartbeat("a/1", [], report)
        _, workers = await server.service.fleet()
        assert [worker.report.state for worker in workers] == listed
