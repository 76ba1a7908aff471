"""The bounded queue in front of the publisher."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from api_server.dispatch.queue import OVERHEAD_BYTES, DispatchQueue
from api_server.domain.job import Dispatch
from tests.unit.api_server.dispatch.dispatch_fakes import NOW, make_dispatch

ALL = 10**9
SOON = NOW + timedelta(seconds=5)


def take(queue: DispatchQueue, max_jobs: int = 10, max_bytes: int = ALL) -> list[Dispatch]:
    return [queued.dispatch for queued in queue.take(max_jobs, max_bytes, NOW)]


def test_the_job_that_fills_the_queue_fits_and_the_next_does_not() -> None:
    queue = DispatchQueue(max_jobs=3, max_bytes=ALL)
    assert [queue.put(make_dispatch(), SOON) for _ in range(4)] == [True, True, True, False]
    assert len(queue) == 3


def test_the_bytes_that_fill_the_queue_fit_and_one_more_does_not() -> None:
    payload = {"": "x" * 92}  # 100 bytes
    queue = DispatchQueue(max_jobs=100, max_bytes=2 * (OVERHEAD_BYTES + 100))
    assert [queue.put(make_dispatch(payload), SOON) for _ in range(3)] == [True, True, False]
    queue = DispatchQueue(max_jobs=100, max_bytes=2 * (OVERHEAD_BYTES + 100) - 1)
    assert [queue.put(make_dispatch(payload), SOON) for _ in range(2)] == [True, False]


def test_a_job_offered_twice_is_queued_once_with_its_latest_attempt() -> None:
    queue = DispatchQueue(max_jobs=10, max_bytes=ALL)
    first = make_dispatch()
    again = type(first)(first.job_id, first.type, 1, first.payload)
    queue.put(first, SOON)
    queue.put(again, SOON)
    assert take(queue) == [again]


def test_jobs_that_are_due_are_dropped() -> None:
    queue = DispatchQueue(max_jobs=10, max_bytes=ALL)
    due, not_yet = make_dispatch(), make_dispatch()
    queue.put(due, NOW)
    queue.put(not_yet, NOW + timedelta(milliseconds=1))
    assert take(queue) == [not_yet]
    assert len(queue) == 0


def test_a_batch_has_at_least_one_job_even_a_large_one() -> None:
    queue = DispatchQueue(max_jobs=10, max_bytes=ALL)
    large = [make_dispatch({"input": "x" * 1000}) for _ in range(2)]
    for dispatch in large:
        queue.put(dispatch, SOON)
    assert take(queue, max_bytes=1) == large[:1]
    assert take(queue, max_bytes=1) == large[1:]


@given(
    st.lists(st.integers(0, 2000), max_size=30),
    st.sets(st.integers(0, 29)),
    st.integers(1, 10),
    st.integers(1, 5000),
)
def test_everything_comes_out_once_and_in_order(
    sizes: list[int], discarded: set[int], max_jobs: int, max_bytes: int
) -> None:
    queue = DispatchQueue(max_jobs=100, max_bytes=ALL)
    dispatches = [make_dispatch({"input": "x" * size}) for size in sizes]
    for dispatch in dispatches:
        assert queue.put(dispatch, SOON)
    for index in discarded & set(range(len(dispatches))):
        queue.discard(dispatches[index].job_id)
    out = []
    while batch := take(queue, max_jobs, max_bytes):
        assert len(batch) <= max_jobs
        out += batch
    assert out == [dispatch for index, dispatch in enumerate(dispatches) if index not in discarded]
    assert (len(queue), queue._size) == (0, 0)
