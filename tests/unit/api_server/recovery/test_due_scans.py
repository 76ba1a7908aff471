"""What one pass of the due loop does, and which server may run it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.errors import StoreUnavailable
from api_server.domain.record_positions import PartitionState, RecordPosition
from api_server.ports import Published
from api_server.recovery.due_scans import (
    BATCH,
    MANY,
    MAX_EXPIRY_BATCHES,
    PAUSE,
    DueScan,
    LeaseExpiryScan,
    decide,
)
from api_server.recovery.leadership import LEASE_SECONDS, MAX_SILENCE, Leadership, UnbrokenTime
from api_server.recovery.ports import DueJob
from tests.clocks import MonotonicClock
from tests.unit.api_server.dispatch.dispatch_fakes import (
    NOW,
    FakeDueStore,
    FakeLease,
    FakePublisher,
    ids,
    make_dispatch,
)


def due(
    position: RecordPosition | None = None, job_type: str = "compute", due_time: datetime = NOW
) -> DueJob:
    return DueJob(make_dispatch(job_type=job_type), position, due_time)


class Seconds:
    """An Availability and a DatabaseClock with given answers; 60 s when there is none."""

    def __init__(
        self, unbroken: Sequence[float | None] | None = None, steady: Sequence[float] | None = None
    ) -> None:
        self._unbroken = iter(unbroken or [])
        self._steady = iter(steady or [])

    def unbroken_seconds(self) -> float | None:
        return next(self._unbroken, 60.0)

    def steady_seconds(self) -> float:
        return next(self._steady, 60.0)

    def now(self) -> datetime:
        return NOW


LEASE = timedelta(seconds=15)

# --- Leases that ran out ---


async def test_leases_are_ended_only_after_one_unbroken_lease() -> None:
    store = FakeDueStore()
    unbroken: list[float | None] = [None, 0.0, 14.9, 15.0]
    store.expired = 3
    scan = LeaseExpiryScan(store, Seconds(unbroken=unbroken), Seconds(), LEASE)
    assert [await scan.run_once(NOW) for _ in range(4)] == [0, 0, 0, 3]


async def test_after_a_jump_of_the_databases_time_no_lease_is_ended_for_one_lease() -> None:
    store, steady = FakeDueStore(), [0.0, 14.9, 15.0]
    store.expired = 3
    scan = LeaseExpiryScan(store, Seconds(), Seconds(steady=steady), LEASE)
    assert [await scan.run_once(NOW) for _ in range(3)] == [0, 0, 3]


async def test_one_pass_ends_many_leases_but_not_without_end() -> None:
    store = FakeDueStore()
    store.expired = BATCH * MAX_EXPIRY_BATCHES + 1
    scan = LeaseExpiryScan(store, Seconds(), Seconds(), LEASE)
    assert await scan.run_once(NOW) == BATCH * MAX_EXPIRY_BATCHES
    assert await scan.run_once(NOW) == 1


# --- Leadership ---


def test_unbroken_time_counts_from_the_first_success_without_a_gap() -> None:
    unbroken = UnbrokenTime()
    assert unbroken.seconds(0.0) is None
    for second in range(10):
        unbroken.succeeded(float(second))
    assert unbroken.seconds(9.5) == 9.5


def test_after_a_gap_unbroken_time_begins_anew() -> None:
    unbroken = UnbrokenTime()
    unbroken.succeeded(0.0)
    unbroken.succeeded(MAX_SILENCE)
    assert unbroken.seconds(2 * MAX_SILENCE + 0.1) is None
    unbroken.succeeded(2 * MAX_SILENCE + 0.1)
    assert unbroken.seconds(2 * MAX_SILENCE + 1.1) == 1.0


def test_a_failure_ends_unbroken_time_at_once() -> None:
    unbroken = UnbrokenTime()
    unbroken.succeeded(0.0)
    unbroken.failed(0.0)
    assert unbroken.seconds(0.1) is None
    unbroken.succeeded(0.2)
    assert unbroken.seconds(1.2) == 1.0


def test_late_answers_out_of_order_count_from_their_requests() -> None:
    unbroken = UnbrokenTime()
    for asked_at in (0.0, 0.5, 1.5, 1.0, 2.0):
        unbroken.succeeded(asked_at)
    assert unbroken.seconds(2.0 + MAX_SILENCE) == 2.0 + MAX_SILENCE
    assert unbroken.seconds(2.1 + MAX_SILENCE) is None


def test_a_success_asked_for_before_a_failure_does_not_count() -> None:
    unbroken = UnbrokenTime()
    unbroken.succeeded(0.0)
    unbroken.failed(1.0)
    unbroken.succeeded(0.5)
    assert unbroken.seconds(1.1) is None
    unbroken.succeeded(1.5)
    assert unbroken.seconds(2.0) == 0.5


async def test_one_of_two_servers_leads_and_the_other_takes_over_when_it_falls_silent() -> None:
    time = MonotonicClock()
    lease = FakeLease(time)
    first, second = Leadership(lease, "first", time), Leadership(lease, "second", time)
    assert await first.prolong()
    assert not await second.prolong()
    assert second.unbroken_seconds() is None
    time.now += LEASE_SECONDS
    assert await second.prolong()
    assert first.unbroken_seconds() is None
    assert not await first.prolong()


async def test_a_released_lease_is_free_at_once() -> None:
    time = MonotonicClock()
    lease = FakeLease(time)
    first, second = Leadership(lease, "first", time), Leadership(lease, "second", time)
    await first.prolong()
    await first.release()
    assert first.unbroken_seconds() is None
    assert await second.prolong()


async def test_a_store_that_did_not_answer_breaks_the_leadership() -> None:
    time = MonotonicClock()
    lease = FakeLease(time)
    leadership = Leadership(lease, "first", time)
    await leadership.prolong()
    time.now += 1.0
    lease.reachable = False
    with pytest.raises(StoreUnavailable):
        await leadership.prolong()
    assert leadership.unbroken_seconds() is None
    lease.reachable = True
    await leadership.prolong()
    assert leadership.unbroken_seconds() == 0.0


# --- Publishing ---

POSITIONS = st.builds(RecordPosition, st.integers(0, 3), st.integers(0, 20), st.integers(0, 20))
PARTITIONS = st.dictionaries(
    st.integers(0, 3),
    st.builds(
        PartitionState,
        st.none() | st.integers(0, 20),
        st.integers(0, 9),
        st.integers(9, 20),
        st.none() | st.integers(0, 20),
    ),
)
DUE_JOBS = st.lists((st.none() | POSITIONS).map(due), max_size=20)


@given(DUE_JOBS, st.none() | PARTITIONS)
def test_a_decision_covers_each_job_once(
    jobs: list[DueJob], partitions: dict[int, PartitionState] | None
) -> None:
    decision = decide(jobs, partitions)
    planned = [dispatch.job_id for dispatch in decision.publish] + [
        each.job_id for each in decision.still_waiting
    ]
    assert len(planned) == len(set(planned))
    assert len(planned) + decision.undecided == len(jobs)


@given(DUE_JOBS, st.none() | PARTITIONS)
def test_a_job_with_a_record_is_published_only_when_the_record_is_known_to_be_gone(
    jobs: list[DueJob], partitions: dict[int, PartitionState] | None
) -> None:
    def gone(position: RecordPosition) -> bool:
        return partitions is not None and not (
            position.partition in partitions and partitions[position.partition].holds(position)
        )

    assert list(decide(jobs, partitions).publish) == [
        job.dispatch for job in jobs if job.position is None or gone(job.position)
    ]


async def test_a_job_never_published_is_published_and_marked_with_its_position() -> None:
    store, publisher = FakeDueStore(), FakePublisher()
    store.jobs = [due(), due(), due(job_type="file")]
    report = await DueScan(store, publisher, publisher, ["compute", "file"]).run_once(NOW)
    assert publisher.published == [job.dispatch for job in store.jobs]
    assert ids(store.marked) == [(job.dispatch.job_id, 0) for job in store.jobs]
    assert [each.position.offset for each in store.marked] == [0, 1, 0]
    assert publisher.asked == []
    assert (report.published, report.still_waiting) == (3, 0)


async def test_a_job_due_again_whose_record_still_waits_is_only_marked() -> None:
    store, publisher = FakeDueStore(), FakePublisher()
    publisher.ends["compute"] = 5
    store.jobs = [due(RecordPosition(0, 4, 0))]
    report = await DueScan(store, publisher, publisher, ["compute"]).run_once(NOW)
    assert publisher.published == []
    assert store.marked == [Published(store.jobs[0].dispatch.job_id, 0, RecordPosition(0, 4, 0))]
    assert (report.published, report.still_waiting) == (0, 1)


async def test_a_job_whose_record_is_gone_is_published_even_behind_a_backlog() -> None:
    store, publisher = FakeDueStore(), FakePublisher()
    publisher.ends["compute"], publisher.committed["compute"] = 1000, 3
    store.jobs = [due(RecordPosition(0, 2, 0)), due(RecordPosition(0, 3, 0)), due(RecordPosition(1, 3, 0))]
    await DueScan(store, publisher, publisher, ["compute"]).run_once(NOW)
    assert publisher.asked == [("compute", {0, 1})]
    assert publisher.published == [store.jobs[0].dispatch, store.jobs[2].dispatch]
    assert [each.position.offset for each in store.marked] == [1000, 1001, 3]


async def test_a_job_due_again_is_left_alone_while_the_offsets_are_unknown() -> None:
    store, publisher = FakeDueStore(), FakePublisher()
    store.jobs = [due(RecordPosition(0, 0, 0)), due()]
    publisher.knows_offsets = False
    await DueScan(store, publisher, publisher, ["compute"]).run_once(NOW)
    assert publisher.published == [store.jobs[1].dispatch]
    assert ids(store.marked) == [(store.jobs[1].dispatch.job_id, 0)]


async def test_expired_jobs_are_failed_and_never_published() -> None:
    store, publisher = FakeDueStore(), FakePublisher()
    expired, alive = (
        [replace(due(position), is_expired=True) for position in (None, RecordPosition(0, 0, 0))],
        due(),
    )
    store.jobs = [*expired, alive]
    report = await DueScan(store, publisher, publisher, ["compute"]).run_once(NOW)
    assert store.expired_ids == [job.dispatch.job_id for job in expired]
    assert publisher.published == [alive.dispatch]
    assert (report.expired, report.published, report.more) == (2, 1, False)


async def test_expired_jobs_alone_ask_nothing_of_the_broker() -> None:
    store, publisher = FakeDueStore(), FakePublisher()
    publisher.refuses = lambda _: True
    store.jobs = [replace(due(RecordPosition(0, 0, 0)), is_expired=True)]
    report = await DueScan(store, publisher, publisher, ["compute"]).run_once(NOW)
    assert (report.expired, publisher.batches) == (1, [])


async def test_expired_jobs_that_the_store_does_not_fail_are_not_read_again_at_once() -> None:
    """Such a job was stored a moment ago by a server whose clock is ahead."""
    store = FakeDueStore()
    store.jobs = [replace(due(), is_expired=True)]
    store.keeps_expired = True
    report = await DueScan(store, FakePublisher(), FakePublisher(), ["compute"]).run_once(NOW)
    assert (report.expired, report.more) == (0, False)


async def test_a_type_the_broker_refuses_pauses_and_the_others_go_on() -> None:
    store, publisher, time = FakeDueStore(), FakePublisher(), MonotonicClock()
    store.jobs = [due(), due(job_type="file")]
    publisher.refuses = lambda dispatch: dispatch.type == "compute"
    scan = DueScan(store, publisher, publisher, ["compute", "file"], time)
    assert (await scan.run_once(NOW)).published == 1
    assert ids(store.marked) == [(store.jobs[1].dispatch.job_id, 0)]
    publisher.refuses = lambda _: False
    assert (await scan.run_once(NOW)).published == 0
    time.now += PAUSE
    assert (await scan.run_once(NOW)).published == 1


async def test_a_large_type_does_not_keep_the_others_waiting() -> None:
    store, publisher = FakeDueStore(), FakePublisher()
    store.jobs = [due() for _ in range(3 * BATCH)] + [due(job_type="file")]
    report = await DueScan(store, publisher, publisher, ["compute", "file"]).run_once(NOW)
    assert publisher.batches == [BATCH, 1]
    assert report.more


@pytest.mark.parametrize("expired", [False, True])
async def test_many_due_jobs_are_followed_by_another_pass_at_once_and_few_are_not(expired: bool) -> None:
    for count, more in ((MANY - 1, False), (MANY, True)):
        store, publisher = FakeDueStore(), FakePublisher()
        store.jobs = [replace(due(), is_expired=expired) for _ in range(count)]
        assert (await DueScan(store, publisher, publisher, ["compute"]).run_once(NOW)).more is more


async def test_nothing_due_means_nothing_is_asked_of_the_broker() -> None:
    store, publisher = FakeDueStore(), FakePublisher()
    report = await DueScan(store, publisher, publisher, ["compute"]).run_once(NOW)
    assert publisher.batches == []
    assert publisher.asked == []
    assert not report.more


async def test_a_pass_without_due_jobs_is_one_query_however_many_types_there_are() -> None:
    store, publisher = FakeDueStore(), FakePublisher()
    store.jobs = [due(job_type="unknown"), due(due_time=NOW + timedelta(milliseconds=1))]
    await DueScan(store, publisher, publisher, ["compute", "file", "data"]).run_once(NOW)
    assert store.reads == 1


async def test_many_undecided_jobs_do_not_hide_the_jobs_behind_them() -> None:
    store, publisher, time = FakeDueStore(), FakePublisher(), MonotonicClock()
    earlier = [NOW - timedelta(milliseconds=ago) for ago in range(2 * BATCH, 0, -1)]
    undecided = [due(RecordPosition(0, offset, 0), due_time=time) for offset, time in enumerate(earlier)]
    behind, expired = due(), replace(due(), is_expired=True)
    store.jobs = [*undecided, behind, expired]
    publisher.knows_offsets = False
    scan = DueScan(store, publisher, publisher, ["compute"], time)
    for _ in range(3):
        await scan.run_once(NOW)
        time.now += PAUSE
    assert publisher.published == [behind.dispatch]
    assert store.expired_ids == [expired.dispatch.job_id]
    # After the last job the walk begins anew. Once the offsets are known, no job is left.
    publisher.knows_offsets = True
    publisher.ends["compute"] = len(undecided)
    while (await scan.run_once(NOW)).more:
        pass
    assert len(store.marked) == len(undecided) + 1
    assert publisher.published == [behind.dispatch]


async def test_an_undecided_job_is_looked_at_again_although_others_become_due() -> None:
    store, publisher, time = FakeDueStore(), FakePublisher(), MonotonicClock()
    store.jobs = [due()]
    publisher.refuses = lambda _: True
    scan = DueScan(store, publisher, publisher, ["compute"], time)
    await scan.run_once(NOW)
    publisher.refuses = lambda _: False
    for second in (2, 4):
        time.now += PAUSE
        store.jobs.append(due(due_time=NOW + timedelta(seconds=second)))
        await scan.run_once(NOW + timedelta(seconds=second))
    assert publisher.published[0] == store.jobs[0].dispatch
