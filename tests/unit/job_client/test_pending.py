"""The queue of items that were not sent yet."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from job_client.pending import BatchLimits, PendingQueue


@dataclass(frozen=True)
class Thing:
    id: str
    size: int


@given(
    st.lists(st.builds(Thing, st.sampled_from("abc"), st.integers(0, 9)), max_size=30),
    st.integers(1, 5),
    st.integers(1, 20),
    st.booleans(),
)
def test_batches_are_in_order_and_as_large_as_the_limits_allow(
    things: list[Thing], items: int, size: int, unique_ids: bool
) -> None:
    queue: PendingQueue[Thing] = PendingQueue(BatchLimits(items, size), unique_ids=unique_ids)
    for thing in things:
        queue.add(thing)
    batches = []
    while batch := queue.next_batch():
        batches.append(batch)
    assert [thing for batch in batches for thing in batch] == things
    for batch in batches:
        assert len(batch) <= items
        assert len(batch) == 1 or sum(thing.size for thing in batch) <= size
        assert not unique_ids or max(Counter(thing.id for thing in batch).values()) == 1
    for batch, after in pairwise(batches):
        assert (
            len(batch) == items
            or sum(thing.size for thing in batch) + after[0].size > size
            or (unique_ids and after[0].id in {thing.id for thing in batch})
        )
