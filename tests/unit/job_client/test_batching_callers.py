"""Timeouts and cancellation of the batcher's callers, and its close."""

import asyncio
import math
from collections.abc import Sequence

import pytest

from job_client import (
    ClientClosed,
    DeadlineExceeded,
    JobClientError,
    Unavailable,
)
from job_client.backoff import Backoff
from tests.unit.job_client.word_server import (
    Server,
    add,
    away,
    batcher,
    results,
    running,
    settled,
)


async def test_a_timeout_is_raised_with_the_last_error_as_its_cause() -> None:
    def respond(_batch: Sequence[str], word: str) -> None:
        if word == "a":
            raise away()

    server = running(respond)
    words = batcher(server, backoff=Backoff(0.01, 0.01))
    (error,) = await results(add(words, "a", seconds=0.05))
    assert isinstance(error, DeadlineExceeded)
    assert error.metadata == {"id": "a"}
    assert isinstance(error.__cause__, Unavailable)
    assert "nobody is there" in str(error)
    assert await results(add(words, "b")) == ["b"]


async def test_an_item_that_times_out_behind_a_slow_call_is_not_sent() -> None:
    server = Server()
    words = batcher(server)
    first = add(words, "a")
    await settled()
    late = add(words, "b", seconds=0.02)
    (error,) = await results(late)
    assert isinstance(error, DeadlineExceeded)
    server.go.set()
    assert await results([*first, *add(words, "c")]) == ["a", "c"]
    assert server.calls == [["a"], ["c"]]


async def test_a_cancelled_caller_stops_no_call_and_its_queued_item_is_not_sent() -> None:
    server = Server()
    words = batcher(server)
    items = add(words, "ab")
    await settled()
    items += add(words, "cd")
    callers = [asyncio.create_task(item.result()) for item in items]
    await settled()
    callers[0].cancel()
    callers[2].cancel()
    await settled()
    server.go.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["", "b", "", "d"]
    assert server.calls == [["a", "b"], ["d"]]


async def test_callers_beyond_the_capacity_wait_and_can_time_out() -> None:
    server = Server()
    words = batcher(server, pending_items=2)
    items = add(words, "ab")
    await settled()
    with pytest.raises(DeadlineExceeded):
        await words.submit("c", "c", 1, words.now() + 0.01)
    waiting = asyncio.create_task(words.submit("d", "d", 1, math.inf))
    await settled()
    assert not waiting.done()
    server.go.set()
    assert await results([*items, await waiting]) == list("abd")


async def test_pending_items_end_with_client_closed() -> None:
    server = Server()
    words = batcher(server, pending_items=3)
    items = add(words, "a")
    await settled()
    items += add(words, "bc")
    waiting_for_capacity = asyncio.create_task(words.submit("d", "d", 1, math.inf))
    await settled()
    await words.close()
    assert all(isinstance(outcome, ClientClosed) for outcome in await results(items))
    with pytest.raises(ClientClosed):
        await waiting_for_capacity
    with pytest.raises(ClientClosed):
        await words.submit("e", "e", 1, math.inf)
    assert server.calls == [["a"]]
    assert server.in_flight == 0


async def test_close_also_ends_items_whose_call_has_not_started() -> None:
    server = Server()
    words = batcher(server)
    items = add(words, "ab")
    await asyncio.sleep(0)
    await words.close()
    assert all(isinstance(outcome, ClientClosed) for outcome in await results(items))
    assert server.calls == []


async def test_an_answer_that_breaks_the_contract_fails_all_items_of_the_call() -> None:
    class Short(Server):
        async def send(self, contents: Sequence[str], seconds: float) -> Sequence[str | JobClientError]:
            return (await super().send(contents, seconds))[1:]

    server = Short()
    server.go.set()
    outcomes = await results(add(batcher(server), "ab"))
    assert [getattr(outcome, "reason", "") for outcome in outcomes] == ["CLIENT_FAULT"] * 2
