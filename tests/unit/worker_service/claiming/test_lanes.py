"""A lane claims as many jobs as it can run and has lately run, and is full when too many records wait."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from tests.clocks import MonotonicClock
from worker_service.claiming import backlog, completion_rate, lanes
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.lanes import Lane
from worker_service.kafka.offsets import Partition, Ticket
from worker_service.kafka.records import is_suspect


def lane_of(limit: int, clock: Callable[[], float] | None = None, flips: list[bool] | None = None) -> Lane:
    def note() -> None:
        if flips is not None:
            flips.append(lane.full)

    lane = Lane(limit, on_work=lambda: None, on_full_change=note, clock=clock or MonotonicClock())
    return lane


def waiting(
    offset: int, partition: int = 0, size: int = 1, job_type: str = "compute", losses: int = 0
) -> WaitingRecord:
    ticket = Ticket(Partition(f"jobs.{job_type}", partition), 1, offset)
    return WaitingRecord(DispatchRecord(id=str(offset), type=job_type, losses=losses), ticket, size)


def taken_from(lane: Lane) -> list[int]:
    """Take all records that can be taken; their offsets."""
    return [item.ticket.offset for item in iter(lane.take, None)]


def test_an_idle_lane_claims_no_more_than_its_limit() -> None:
    lane = lane_of(3)
    for _ in range(3):
        assert lane.capacity > 0
        lane.hold()

    assert lane.capacity == 0


def test_a_lane_of_short_jobs_claims_ahead_as_many_as_ended_in_the_last_moment() -> None:
    clock = MonotonicClock()
    lane = lane_of(30, clock)
    for _ in range(30):
        lane.hold()
    for _ in range(20):
        lane.note_run(completion_rate.AHEAD_SECONDS / 2)
        lane.release()

    assert lane.capacity == 20 + 20

    clock.now += completion_rate.AHEAD_SECONDS * 1.5
    assert lane.capacity == 20 + 2


def test_a_lane_claims_ahead_as_many_as_one_slot_will_soon_have_run() -> None:
    clock = MonotonicClock()
    lane = lane_of(3, clock)
    lane.note_run(completion_rate.AHEAD_SECONDS / 8)
    assert lane.capacity == 3 + 8

    # A job that takes longer shows that more such jobs may come.
    lane.note_run(completion_rate.AHEAD_SECONDS * 100)
    assert lane.capacity == 3 + 1

    for _ in range(10 * completion_rate.RUNS_REMEMBERED):
        lane.note_run(completion_rate.AHEAD_SECONDS / 8)
    clock.now += completion_rate.MEMORY_SECONDS * 0.99
    assert lane.capacity == 3 + 7

    clock.now += completion_rate.MEMORY_SECONDS * 0.02
    assert lane.capacity == 3


def test_a_lane_of_long_jobs_claims_nothing_ahead() -> None:
    lane = lane_of(3)
    for _ in range(3):
        lane.hold()
    lane.note_run(completion_rate.AHEAD_SECONDS)
    lane.release()

    assert lane.capacity == 1


def test_refused_claims_let_a_lane_with_few_slots_claim_a_little_more() -> None:
    clock = MonotonicClock()
    lane = lane_of(2, clock)
    lane.note_refusal()
    assert lane.capacity == 2 + 1

    for _ in range(lanes.MAX_AHEAD_OF_REFUSALS):
        lane.note_refusal()
    assert lane.capacity == 2 + lanes.MAX_AHEAD_OF_REFUSALS

    clock.now += completion_rate.AHEAD_SECONDS * 1.5
    assert lane.capacity == 2


def test_claims_ahead_are_bounded() -> None:
    lane = lane_of(1)
    for _ in range(lanes.MAX_AHEAD + 50):
        lane.note_run(0)

    assert lane.capacity == 1 + lanes.MAX_AHEAD


def test_records_are_taken_in_the_order_of_arrival() -> None:
    lane = lane_of(1)
    for offset in range(3):
        lane.add(waiting(offset))

    taken = [lane.take(), lane.take(), lane.take(), lane.take()]

    assert [item and item.ticket.offset for item in taken] == [0, 1, 2, None]


def test_arrivals_are_counted_from_one_and_the_oldest_is_no_suspect_and_not_shut_out() -> None:
    lane = lane_of(1)
    assert (lane.arrivals, lane.oldest) == (0, None)
    lane.add(waiting(0, losses=2))
    lane.add(waiting(1, job_type="a"))
    lane.add(waiting(2, job_type="b"))
    assert (lane.arrivals, lane.oldest) == (3, 2)

    lane.shut_out({"a"})
    assert (lane.arrivals, lane.oldest) == (3, 3)
    lane.shut_out({"a", "b"})
    assert (lane.arrivals, lane.oldest) == (3, None)


def test_a_lane_is_full_by_count_until_half_of_it_is_gone() -> None:
    flips: list[bool] = []
    lane = lane_of(1, flips=flips)
    for offset in range(backlog.FULL_RECORDS):
        lane.add(waiting(offset))
    assert lane.full

    for _ in range(backlog.FULL_RECORDS // 2):
        lane.take()
    assert lane.full

    lane.take()
    assert not lane.full
    assert flips == [True, False]


def test_a_lane_is_full_by_bytes() -> None:
    lane = lane_of(1)
    lane.add(waiting(0, size=backlog.FULL_BYTES))

    assert lane.full


def test_dropping_a_partition_forgets_its_records_and_no_others() -> None:
    lane = lane_of(1)
    for offset in range(4):
        lane.add(waiting(offset, partition=offset % 2, size=backlog.FULL_BYTES // 4))
    assert lane.full

    lane.drop({Partition("jobs.compute", 0)})

    assert taken_from(lane) == [1, 3]
    assert not lane.full


def test_a_revocation_wakes_the_claimer_since_other_jobs_may_have_waited_for_a_forgotten_suspect() -> None:
    wakes: list[bool] = []
    lane = Lane(1, on_work=lambda: wakes.append(True), on_full_change=lambda: None)
    lane.add(waiting(0, losses=4))
    wakes.clear()

    lane.drop({Partition("jobs.compute", 0)})

    assert (lane.first_suspect, wakes) == (None, [True])


def test_a_lane_whose_records_are_forgotten_is_no_longer_full() -> None:
    flips: list[bool] = []
    lane = lane_of(1, flips=flips)
    lane.add(waiting(0, size=backlog.FULL_BYTES))

    lane.drop({Partition("jobs.compute", 0)})

    assert not lane.full
    assert flips == [True, False]


def test_the_bytes_of_a_type_that_is_no_longer_shut_out_count_again() -> None:
    lane = lane_of(1)
    lane.add(waiting(0, size=backlog.FULL_BYTES - 1))
    lane.add(waiting(1, size=1))
    lane.shut_out({"compute"})
    assert not lane.full

    lane.shut_out(set())
    assert lane.full
    lane.take()
    lane.shut_out({"compute"})
    lane.shut_out(set())
    assert not lane.full


def test_records_of_all_types_are_taken_in_the_order_of_arrival() -> None:
    lane = lane_of(1)
    for offset, job_type in enumerate(["a", "b", "a", "c", "b", "a"]):
        lane.add(waiting(offset, job_type=job_type))

    assert taken_from(lane) == [0, 1, 2, 3, 4, 5]


def test_a_shut_out_type_waits_and_other_types_pass_it() -> None:
    lane = lane_of(1)
    for offset, job_type in enumerate(["a", "b", "a", "b"]):
        lane.add(waiting(offset, job_type=job_type))
    lane.shut_out({"a"})
    assert taken_from(lane) == [1, 3]

    lane.add(waiting(4, job_type="b"))
    lane.shut_out({"b"})
    assert taken_from(lane) == [0, 2]

    lane.shut_out(set())
    assert taken_from(lane) == [4]


def test_records_of_shut_out_types_do_not_make_a_lane_full() -> None:
    flips: list[bool] = []
    lane = lane_of(1, flips=flips)
    for offset in range(backlog.FULL_RECORDS):
        lane.add(waiting(offset, job_type="a"))
    assert lane.full

    lane.shut_out({"a"})
    assert not lane.full
    lane.add(waiting(0, size=backlog.FULL_BYTES - 1, job_type="b"))
    assert not lane.full

    lane.shut_out(set())
    assert lane.full
    assert flips == [True, False, True]


def test_records_of_shut_out_types_are_forgotten_with_their_partition() -> None:
    lane = lane_of(1)
    for offset, partition in enumerate([0, 1, 0]):
        lane.add(waiting(offset, partition, job_type="a"))
    lane.shut_out({"a"})
    lane.drop({Partition("jobs.a", 0)})

    lane.shut_out(set())
    assert taken_from(lane) == [1]


def test_other_jobs_pass_suspects_which_keep_their_place_in_the_queue() -> None:
    lane = lane_of(1)
    for offset, losses in enumerate([1, 2, 0, 4, 1]):
        lane.add(waiting(offset, losses=losses))
    first, second = lane.take(suspects=lambda _: False), lane.take(suspects=lambda _: False)
    assert [item and item.ticket.offset for item in (first, second)] == [0, 2]

    assert taken_from(lane) == [1, 3, 4]


def test_a_suspect_that_may_not_run_is_not_taken_even_if_nothing_else_waits() -> None:
    lane = lane_of(1)
    lane.add(waiting(0, losses=2))

    assert lane.take(suspects=lambda _: False) is None
    assert lane.take() is not None


def test_suspects_wait_for_the_first_suspect() -> None:
    lane = lane_of(1)
    for offset, losses in enumerate([4, 2, 1]):
        lane.add(waiting(offset, losses=losses))
    assert lane.first_suspect is not None
    assert lane.first_suspect.losses == 4
    item = lane.take(suspects=lambda record: record.losses == 2)
    assert item is not None
    assert (item.ticket.offset, lane.others_wait) == (2, False)

    assert lane.take(suspects=lambda record: record.losses == 2) is None
    assert taken_from(lane) == [0, 1]


def test_suspects_with_large_payloads_are_taken_even_while_no_other_large_payload_is() -> None:
    lane = lane_of(1)
    for offset, losses in enumerate([0, 2]):
        item = waiting(offset, losses=losses)
        item.record.payload_omitted = True
        lane.add(item)
    assert lane.first_suspect is not None

    taken = [lane.take(large=False), lane.take(large=False), lane.take()]
    assert [item and item.ticket.offset for item in taken] == [1, None, 0]


def test_suspects_and_other_records_do_not_fill_a_lane_together() -> None:
    lane = lane_of(1)
    for offset in range(backlog.FULL_RECORDS - 1):
        lane.add(waiting(offset, losses=2))
        lane.add(waiting(offset))
    assert not lane.full

    lane.add(waiting(0, losses=2))
    assert lane.full


def test_suspects_are_forgotten_with_their_partition() -> None:
    lane = lane_of(1)
    for offset, partition in enumerate([0, 1]):
        lane.add(waiting(offset, partition, losses=2))
    lane.drop({Partition("jobs.compute", 0)})

    assert taken_from(lane) == [1]


ADDS = st.tuples(
    st.just("add"), st.sampled_from("ab"), st.sampled_from([0, 2]), st.integers(0, 1), st.integers(1, 6)
)
TAKES = st.tuples(st.just("take"), st.booleans(), st.booleans())
SHUTS = st.tuples(st.just("shut_out"), st.sets(st.sampled_from("abc")))
DROPS = st.tuples(st.just("drop"), st.integers(0, 1))


@given(st.lists(st.one_of(ADDS, ADDS, TAKES, SHUTS, DROPS), max_size=60))
def test_a_lane_behaves_like_a_plain_list(steps: list[Any]) -> None:
    """After any steps: which record is next, how many may be claimed, and whether the lane is full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backlog, "FULL_RECORDS", 4)
        patch.setattr(backlog, "FULL_BYTES", 12)
        lane, model, shut_out, full = lane_of(2), list[WaitingRecord](), set[str](), False
        for offset, (what, *how) in enumerate(steps):
            if what == "add":
                job_type, losses, partition, size = how
                model.append(waiting(offset, partition, size, job_type, losses))
                lane.add(model[-1])
            elif what == "shut_out":
                [shut_out] = how
                lane.shut_out(shut_out)
            elif what == "drop":
                model = [each for each in model if each.ticket.partition.partition != how[0]]
                lane.drop({Partition(f"jobs.{job_type}", how[0]) for job_type in "ab"})
            else:
                within = [each for each in model if each.record.type not in shut_out]
                may_be = dict(zip((True, False), how, strict=True))
                expected = next((each for each in within if may_be[is_suspect(each.record)]), None)
                assert lane.take(others=may_be[False], suspects=lambda _: may_be[True]) is expected  # noqa: B023 - called at once
                model = [each for each in model if each is not expected]
            share = 0.5 if full else 1
            open_records = [each for each in model if each.record.type not in shut_out]
            full = False
            for suspects in (False, True):
                part = [each for each in open_records if is_suspect(each.record) is suspects]
                full |= len(part) >= 4 * share or sum(each.size for each in part) >= 12 * share
            assert lane.full is full
            assert lane.claimable == min(2, len(open_records))
