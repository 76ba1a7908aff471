"""Waiting items are committed together, in order and within limits; one that fails affects no other."""

import asyncio
import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.group_commit import IDLE_TURNS, GroupCommit, Item, Limits


class Batches:
    """A commit that waits for `go` before each batch and returns each content as its result."""

    def __init__(self) -> None:
        self.done: list[list[str]] = []
        self.under_way = 0
        self.go = asyncio.Event()
        self.faults: dict[str, Exception] = {}
        self.all_fail_of: Exception | None = None

    async def commit(self, contents: list[str]) -> list[str | Exception]:
        self.under_way += 1
        assert self.under_way == 1
        await self.go.wait()
        self.under_way -= 1
        self.done.append(contents)
        if self.all_fail_of is not None:
            raise self.all_fail_of
        return [self.faults.get(content, content) for content in contents]


def started(group: GroupCommit[str, str], *items: Item[str]) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(group.do(item)) for item in items]


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def settled() -> None:
    await turns(5 * IDLE_TURNS)


async def test_a_single_item_is_committed_at_once() -> None:
    batches = Batches()
    batches.go.set()
    group = GroupCommit(batches.commit, max_blocking=60)
    for name in "ab":
        (task,) = started(group, Item(name, 1))
        await turns(IDLE_TURNS // 2)
        assert task.result() == name
    assert batches.done == [["a"], ["b"]]


async def test_a_single_item_that_waits_for_another_one_is_committed_right_after_it() -> None:
    batches = Batches()
    group = GroupCommit(batches.commit, max_blocking=60)
    for name in "ab":
        started(group, Item(name, 1))
        await settled()
    batches.go.set()
    await turns(IDLE_TURNS // 2)
    assert batches.done == [["a"], ["b"]]


async def test_a_full_batch_waits_for_no_further_item() -> None:
    batches = Batches()
    batches.go.set()
    group = GroupCommit(batches.commit, Limits(items=2), max_blocking=60)
    started(group, Item("a", 1), Item("b", 1))
    await turns(IDLE_TURNS // 2)
    assert batches.done == [["a", "b"]]


async def test_a_batch_that_has_ended_is_forgotten() -> None:
    batches = Batches()
    batches.go.set()
    group = GroupCommit(batches.commit, max_blocking=60)
    await group.do(Item("a", 1))
    await settled()
    assert group._running_batches == set()


async def test_under_load_items_that_keep_arriving_form_one_batch() -> None:
    """As in a server with many calls, each of which needs some turns of the event loop to arrive."""
    batches = Batches()
    batches.go.set()
    group = GroupCommit(batches.commit, max_blocking=60)
    tasks = started(group, Item("a", 1), Item("b", 1))
    for name in "cdefg":
        await turns(IDLE_TURNS - 1)
        tasks += started(group, Item(name, 1))
    await asyncio.gather(*tasks)
    assert batches.done == [list("abcdefg")]


async def test_items_that_arrive_during_a_batch_form_the_next_one() -> None:
    batches = Batches()
    group = GroupCommit(batches.commit, max_blocking=60)
    first = started(group, Item("a", 1))
    await settled()
    rest = started(group, *(Item(name, 1) for name in "bcde"))
    await settled()
    batches.go.set()
    assert await asyncio.gather(*first, *rest) == list("abcde")
    assert batches.done == [["a"], ["b", "c", "d", "e"]]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(items=2), [["a"], ["b", "c"], ["d", "e"]]),
        (Limits(bytes=30), [["a"], ["b", "c", "d"], ["e"]]),
        (Limits(bytes=29), [["a"], ["b", "c"], ["d", "e"]]),
        (Limits(bytes=9), [["a"], ["b"], ["c"], ["d"], ["e"]]),
    ],
)
async def test_a_batch_is_limited_in_count_and_bytes(limits: Limits, expected: list[list[str]]) -> None:
    batches = Batches()
    group = GroupCommit(batches.commit, limits, max_blocking=60)
    tasks = started(group, Item("a", 10))
    await settled()
    tasks += started(group, *(Item(name, 10) for name in "bcde"))
    await settled()
    batches.go.set()
    await asyncio.gather(*tasks)
    assert batches.done == expected


async def test_items_with_the_same_key_are_in_different_batches_and_in_order() -> None:
    batches = Batches()
    group = GroupCommit(batches.commit, max_blocking=60)
    tasks = started(group, Item("a", 1))
    await settled()
    tasks += started(group, Item("b1", 1, "b"), Item("c", 1, "c"), Item("b2", 1, "b"), Item("d", 1, "d"))
    await settled()
    batches.go.set()
    await asyncio.gather(*tasks)
    assert batches.done == [["a"], ["b1", "c"], ["b2", "d"]]


async def test_an_error_of_one_item_does_not_affect_the_others() -> None:
    batches = Batches()
    batches.faults["b"] = ValueError("b")
    batches.go.set()
    group = GroupCommit(batches.commit, max_blocking=60)
    results = await asyncio.gather(*started(group, *(Item(n, 1) for n in "abc")), return_exceptions=True)
    assert results == ["a", batches.faults["b"], "c"]


async def test_a_failed_batch_fails_all_of_its_items_but_not_the_next_batch() -> None:
    batches = Batches()
    batches.all_fail_of = ConnectionError("away")
    group = GroupCommit(batches.commit, max_blocking=60)
    tasks = started(group, *(Item(n, 1) for n in "ab"))
    batches.go.set()
    assert await asyncio.gather(*tasks, return_exceptions=True) == [batches.all_fail_of] * 2
    batches.all_fail_of = None
    assert await group.do(Item("c", 1)) == "c"


@pytest.mark.parametrize("count", [1, 3])
async def test_a_commit_with_a_wrong_number_of_results_fails_its_items(count: int) -> None:
    async def commit(contents: list[str]) -> list[str | Exception]:
        return [contents[0]] * count

    group = GroupCommit(commit, max_blocking=60)
    results = await asyncio.gather(*started(group, Item("a", 1), Item("b", 1)), return_exceptions=True)
    assert [str(each) for each in results] == [f"{count} results for 2 items"] * 2


async def test_an_error_for_a_caller_that_is_cancelled_at_the_same_moment_is_not_reported_as_lost() -> None:
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))

    async def commit(_contents: list[str]) -> list[str | Exception]:
        loop.call_soon(caller.cancel)
        raise ConnectionError("away")

    try:
        (caller,) = started(GroupCommit(commit, max_blocking=60), Item("a", 1))
        with pytest.raises(asyncio.CancelledError):
            await caller
        gc.collect()
        await settled()
    finally:
        loop.set_exception_handler(None)
    assert reported == []


async def test_a_cancelled_caller_does_not_stop_its_batch() -> None:
    batches = Batches()
    group = GroupCommit(batches.commit, max_blocking=60)
    tasks = started(group, Item("a", 1))
    await settled()
    tasks += started(group, *(Item(n, 1) for n in "bcd"))
    await settled()
    tasks[2].cancel()
    await settled()
    batches.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results.pop(2), asyncio.CancelledError)
    assert results == ["a", "b", "d"]
    assert batches.done == [["a"], ["b", "c", "d"]]


async def test_a_slow_batch_does_not_block_the_next_one_for_long() -> None:
    gates = {"slow": asyncio.Event()}

    async def commit(contents: list[str]) -> list[str | Exception]:
        if contents[0] in gates:
            await gates[contents[0]].wait()
        return list(contents)

    group = GroupCommit(commit, max_blocking=0.01)
    (slow,) = started(group, Item("slow", 1))
    await settled()
    assert await asyncio.wait_for(group.do(Item("quick", 1)), 5) == "quick"
    assert not slow.done()
    gates["slow"].set()
    assert await slow == "slow"


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 9)).map(lambda pair: Item(str(pair), pair[1], pair[0])),
        max_size=30,
    ),
    st.integers(1, 5),
    st.integers(1, 20),
)
def test_every_item_is_committed_once_and_within_the_limits(
    items: list[Item[str]], batch_items: int, batch_bytes: int
) -> None:
    done: list[list[str]] = []

    async def commit(contents: list[str]) -> list[str | Exception]:
        done.append(contents)
        await asyncio.sleep(0)
        return list(contents)

    async def run() -> list[str]:
        group: GroupCommit[str, str] = GroupCommit(commit, Limits(batch_items, batch_bytes))
        return await asyncio.gather(*(group.do(item) for item in items))

    assert asyncio.run(run()) == [item.content for item in items]
    assert [content for batch in done for content in batch] == [item.content for item in items]
    sizes = {item.content: item.size for item in items}
    for batch in done:
        assert len(batch) <= batch_items
        assert len(batch) == 1 or sum(sizes[content] for content in batch) <= batch_bytes
        keys = [content.split(",")[0] for content in batch]
        assert len(set(keys)) == len(keys)
