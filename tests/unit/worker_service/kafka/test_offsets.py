"""The offset after the longest finished run is committed, and only in its epoch."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_service.kafka.offsets import Commit, OffsetTracker, Partition, Ticket

P = Partition("jobs.compute", 3)
Q = Partition("jobs.file", 0)

offset_lists = st.lists(st.integers(0, 10**9), unique=True, max_size=40).map(sorted)


def begin_all(tracker: OffsetTracker, partition: Partition, offsets: list[int]) -> list[Ticket]:
    tickets = [tracker.begin(partition, offset) for offset in offsets]
    return [ticket for ticket in tickets if ticket is not None]


def next_offset(tracker: OffsetTracker, partition: Partition) -> int | None:
    return next((commit.offset for commit in tracker.due() if commit.partition == partition), None)


@given(offset_lists, st.randoms(use_true_random=False), st.data())
def test_the_offset_after_the_longest_finished_run_is_due(
    offsets: list[int], random: Random, data: st.DataObject
) -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    tickets = begin_all(tracker, P, offsets)
    finishing = random.sample(tickets, data.draw(st.integers(0, len(tickets))))

    for ticket in finishing:
        tracker.finish(ticket)

    finished = {ticket.offset for ticket in finishing}
    run = 0
    while run < len(offsets) and offsets[run] in finished:
        run += 1
    assert next_offset(tracker, P) == (offsets[run - 1] + 1 if run else None)


@given(offset_lists.filter(bool), st.randoms(use_true_random=False))
def test_the_due_offset_never_falls_and_ends_after_the_last_record(
    offsets: list[int], random: Random
) -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    tickets = begin_all(tracker, P, offsets)
    random.shuffle(tickets)

    latest = -1
    for ticket in tickets:
        tracker.finish(ticket)
        due = tracker.due()
        tracker.committed(due)
        for commit in due:
            assert commit.offset > latest
            latest = commit.offset

    assert latest == offsets[-1] + 1
    assert tracker.due() == []


@given(offset_lists.filter(bool), st.integers(0, 39))
def test_no_record_after_an_unfinished_one_is_committed(offsets: list[int], hole: int) -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    tickets = begin_all(tracker, P, offsets)
    unfinished = tickets[hole % len(tickets)]

    for ticket in reversed(tickets):
        if ticket is not unfinished:
            tracker.finish(ticket)

    due = next_offset(tracker, P)
    assert due is None or due <= unfinished.offset


@given(offset_lists.filter(bool))
def test_finishing_twice_changes_nothing(offsets: list[int]) -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    tickets = begin_all(tracker, P, offsets)

    for ticket in [*tickets, *tickets]:
        tracker.finish(ticket)

    assert next_offset(tracker, P) == offsets[-1] + 1


@given(offset_lists.filter(bool), offset_lists.filter(bool))
def test_records_of_an_earlier_epoch_do_not_count(before: list[int], after: list[int]) -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    stale = begin_all(tracker, P, before)
    tracker.revoke(P)
    tracker.assign(P)
    begin_all(tracker, P, after)

    for ticket in stale:
        tracker.finish(ticket)

    assert tracker.due() == []


def test_a_commit_of_an_earlier_epoch_does_not_hide_a_due_offset() -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    tracker.finish(begin_all(tracker, P, [7])[0])
    stale = tracker.due()
    tracker.assign(P)
    tracker.finish(begin_all(tracker, P, [5])[0])

    tracker.committed(stale)

    assert next_offset(tracker, P) == 6


def test_losing_an_earlier_epoch_keeps_the_current_one() -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    tracker.finish(begin_all(tracker, P, [7])[0])
    stale = tracker.due()
    tracker.assign(P)

    tracker.lose(stale)

    assert tracker.begin(P, 7) is not None


def test_a_lost_partition_takes_no_records_until_it_is_assigned_again() -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    tracker.finish(begin_all(tracker, P, [7])[0])

    tracker.lose(tracker.due())

    assert tracker.begin(P, 8) is None
    assert tracker.due() == []


def test_a_revoked_partition_takes_no_records_and_has_nothing_due() -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    tracker.finish(begin_all(tracker, P, [7])[0])

    tracker.revoke(P)

    assert tracker.begin(P, 8) is None
    assert tracker.due() == []


def test_finished_offsets_are_forgotten_once_they_are_due() -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    first, *others = begin_all(tracker, P, list(range(100)))
    for ticket in [*others, first]:
        tracker.finish(ticket)

    progress = tracker._assigned[P]
    assert (progress.finished, len(progress.begun)) == (set(), 0)


def test_a_partition_does_not_wait_for_another() -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    tracker.assign(Q)
    begin_all(tracker, P, [0])
    tracker.finish(begin_all(tracker, Q, [0])[0])

    assert [(commit.partition, commit.offset) for commit in tracker.due()] == [(Q, 1)]


def test_a_commit_that_was_not_confirmed_stays_due() -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    tracker.finish(begin_all(tracker, P, [0])[0])
    first = tracker.due()

    assert tracker.due() == first
    assert first == [Commit(P, first[0].epoch, 1)]


@given(
    st.lists(st.tuples(offset_lists.filter(bool), st.booleans()), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_a_topic_that_was_created_again_counts_from_its_lower_offsets(
    logs: list[tuple[list[int], bool]], random: Random
) -> None:
    """Each log but the first starts at or below the last offset of the log before it. Some were committed."""
    tracker = OffsetTracker()
    tracker.assign(P)
    tickets: list[Ticket] = []
    last = -1
    for offsets, is_committed in logs:
        lower = [offset - max(0, offsets[0] - last) for offset in offsets] if last >= 0 else offsets
        tickets += begin_all(tracker, P, lower)
        last = lower[-1]
        if is_committed:
            for ticket in tickets:
                tracker.finish(ticket)
            tracker.committed(tracker.due())

    random.shuffle(tickets)
    for ticket in tickets:
        tracker.finish(ticket)

    committed_last = logs[-1][1]
    assert next_offset(tracker, P) == (None if committed_last else last + 1)


@pytest.mark.parametrize("finished", [True, False])
def test_an_offset_that_is_polled_again_starts_a_new_epoch(finished: bool) -> None:
    tracker = OffsetTracker()
    tracker.assign(P)
    [before] = begin_all(tracker, P, [4])
    if finished:
        tracker.finish(before)
        tracker.committed(tracker.due())

    [again] = begin_all(tracker, P, [3])
    tracker.finish(before)

    assert tracker.due() == []
    tracker.finish(again)
    assert tracker.due() == [Commit(P, again.epoch, 4)]
