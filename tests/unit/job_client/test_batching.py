"""Items are sent in batches, transient errors are repeated, and one item's fault does not hurt another."""

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc
import pytest
from google.rpc.code_pb2 import Code
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.errors import InvalidArgument as Refused
from contract_runtime.errors import ServiceError, Violation
from contract_runtime.statuses import error_to_status
from job_client import (
    ClientClosed,
    DeadlineExceeded,
    InvalidArgument,
    JobClientError,
    JobIdTaken,
    Unavailable,
)
from job_client.backoff import Backoff
from job_client.batching import Batcher, BatcherLimits
from job_client.capacity import Capacity
from job_client.pending import BatchLimits, PendingItem

AT_ONCE = Backoff(0, 0)
WordBatcher = Batcher[str, str]


def failure(error: ServiceError) -> grpc.aio.AioRpcError:
    """An error as the project's servers send it."""
    status = rpc_status.to_status(error_to_status(error))
    return grpc.aio.AioRpcError(
        status.code, grpc.aio.Metadata(), grpc.aio.Metadata(*status.trailing_metadata), status.details
    )


def away() -> grpc.aio.AioRpcError:
    """The error that gRPC makes when it cannot connect."""
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "nobody is there"
    )


class Fault(ServiceError):
    """An internal error of the server."""


class Busy(ServiceError):
    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"


@dataclass
class Server:
    """Answers each word with itself once `go` is set.

    `judge` may raise for the whole call, or return an error for one word.
    """

    judge: Callable[[Sequence[str], str], JobClientError | None] = lambda _batch, _word: None
    go: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[list[str]] = field(default_factory=list)
    in_flight: int = 0
    max_in_flight: int = 0
    field: str = "requests"
    unique_ids: bool = True

    async def send(self, contents: Sequence[str], seconds: float) -> Sequence[str | JobClientError]:
        assert seconds > 0
        self.calls.append(list(contents))
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            await self.go.wait()
            return [self.judge(contents, word) or word for word in contents]
        finally:
            self.in_flight -= 1


def running(judge: Callable[[Sequence[str], str], JobClientError | None] | None = None) -> Server:
    server = Server(judge) if judge else Server()
    server.go.set()
    return server


def refusing_whole(*wrong: str, named: int = 10) -> Callable[[Sequence[str], str], None]:
    """A server that names up to `named` of the words that break a rule."""

    def judge(batch: Sequence[str], _word: str) -> None:
        rule = "must not be this"
        violations = [
            Violation(f"requests[{index}].type" if len(batch) > 1 else "type", "rule", rule)
            for index, word in enumerate(batch)
            if word in wrong
        ]
        if violations:
            raise failure(Refused(violations[:named]))

    return judge


def batcher(server: Server, calls: int = 1, backoff: Backoff = AT_ONCE, **limits: int) -> WordBatcher:
    batch = BatchLimits(limits.pop("items", 1000), limits.pop("size", 1000))
    return Batcher(server, BatcherLimits(batch, calls, **limits), backoff)


def add(words: WordBatcher, text: str, seconds: float = 60.0) -> list[PendingItem[str, str]]:
    """Add an item of size 1 for each letter, within the capacity."""
    items = []
    for letter in text:
        assert words._capacity.try_acquire(1)
        items.append(words.add(letter, letter, 1, words.now() + seconds))
    return items


async def results(items: Sequence[PendingItem[str, str]]) -> list[str | BaseException]:
    return await asyncio.gather(*(item.result() for item in items), return_exceptions=True)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# --- Batches ---


async def test_a_single_item_goes_at_once_and_items_of_one_turn_go_together() -> None:
    server = running()
    words = batcher(server)
    assert await results(add(words, "a")) == ["a"]
    assert await results(add(words, "bcd")) == ["b", "c", "d"]
    assert server.calls == [["a"], ["b", "c", "d"]]


async def test_items_that_are_added_while_calls_are_in_flight_go_in_the_next_call() -> None:
    server = Server()
    words = batcher(server, calls=2)
    items = []
    for letter in "abcde":
        items += add(words, letter)
        await settled()
    assert server.calls == [["a"], ["b"]]
    server.go.set()
    assert await results(items) == list("abcde")
    assert server.calls == [["a"], ["b"], ["c", "d", "e"]]
    assert server.max_in_flight == 2


async def test_batches_keep_their_limits_and_contain_an_id_once() -> None:
    server = running()
    assert await results(add(batcher(server, items=2), "abc")) == list("abc")
    assert await results(add(batcher(server, size=1), "de")) == list("de")
    assert await results(add(batcher(server), "fgf")) == list("fgf")
    assert server.calls == [["a", "b"], ["c"], ["d"], ["e"], ["f", "g"], ["f"]]


# --- Failures ---


async def test_an_item_s_error_is_raised_for_that_item_only() -> None:
    server = running(lambda _, word: JobIdTaken("taken") if word == "b" else None)
    outcomes = await results(add(batcher(server), "abc"))
    assert isinstance(outcomes[1], JobIdTaken)
    assert [outcomes[0], outcomes[2]] == ["a", "c"]
    assert len(server.calls) == 1


async def test_only_items_with_transient_errors_are_sent_again() -> None:
    tries: Counter[str] = Counter()

    def judge(_batch: Sequence[str], word: str) -> JobClientError | None:
        tries[word] += 1
        return Unavailable("not now") if word in "bd" and tries[word] < 3 else None

    server = running(judge)
    assert await results(add(batcher(server), "abcd")) == list("abcd")
    assert server.calls == [["a", "b", "c", "d"], ["b", "d"], ["b", "d"]]


async def test_a_failed_call_is_repeated_before_the_next_call_starts() -> None:
    server = Server()
    faults = [
        away(),
        failure(Busy("wait", retry_delay=0.0)),
        grpc.aio.AioRpcError(
            grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), "RST_STREAM"
        ),
    ]

    def judge(_batch: Sequence[str], _word: str) -> None:
        if faults:
            raise faults.pop()

    server.judge = judge
    words = batcher(server)
    items = add(words, "ab")
    await settled()
    items += add(words, "c")
    server.go.set()
    assert await results(items) == list("abc")
    assert server.calls == [["a", "b"]] * 4 + [["c"]]


async def test_a_server_s_retry_delay_is_kept_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = [True]

    def judge(_batch: Sequence[str], _word: str) -> None:
        if first:
            first.pop()
            raise failure(Busy("wait", retry_delay=0.2))

    words = batcher(running(judge))
    begin = words.now()
    assert await results(add(words, "a")) == ["a"]
    assert 0.2 <= words.now() - begin < 10
    assert "the call for 1 jobs will be sent again in 0.200 s: RESOURCE_EXHAUSTED: wait" in caplog.text


async def test_many_repeated_calls_are_logged_in_few_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 20

    def judge(_batch: Sequence[str], _word: str) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise failure(Busy("wait", retry_delay=0.0))

    words = batcher(running(judge), backoff=Backoff(0.001, 0.001))
    assert await results(add(words, "a")) == ["a"]
    assert len(caplog.records) == 1
    monkeypatch.setattr("job_client.batching.LOG_SECONDS", 0.0)
    words._next_log = 0.0
    failures = 1
    assert await results(add(words, "b")) == ["b"]
    assert "19 other calls were repeated since the last such line" in caplog.records[1].getMessage()


@pytest.mark.parametrize("named", [1, 10], ids=["one named at a time", "all named"])
async def test_items_that_break_a_rule_do_not_stop_the_others(named: int) -> None:
    server = running(refusing_whole("c", "h", named=named))
    outcomes = await results(add(batcher(server), "abcdefghij"))
    wrong = [outcomes.pop(7), outcomes.pop(2)]
    assert outcomes == list("abdefgij")
    for error in wrong:
        assert isinstance(error, InvalidArgument)
        assert [violation.field for violation in error.violations] == ["type"]
    assert len(server.calls) <= 5


async def test_an_item_that_makes_the_server_fail_is_found_by_halving_and_fails_alone() -> None:
    def judge(batch: Sequence[str], _word: str) -> None:
        if "e" in batch:
            raise failure(Fault("the server failed to handle the call"))

    server = running(judge)
    outcomes = await results(add(batcher(server), "abcdefgh"))
    error = outcomes.pop(4)
    assert isinstance(error, JobClientError)
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert outcomes == list("abcdfgh")
    assert len(server.calls) == 1 + 2 * 3


async def test_a_call_with_a_permanent_error_is_made_once() -> None:
    def judge(_batch: Sequence[str], _word: str) -> None:
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), grpc.aio.Metadata(), "no credentials"
        )

    server = running(judge)
    outcomes = await results(add(batcher(server), "abc"))
    assert {str(outcome) for outcome in outcomes} == {"UNAUTHENTICATED: no credentials"}
    assert len(server.calls) == 1


async def test_a_call_s_deadline_is_its_own_or_that_of_its_most_patient_caller() -> None:
    given: list[float] = []

    class Timed(Server):
        async def send(self, contents: Sequence[str], seconds: float) -> Sequence[str | JobClientError]:
            given.append(seconds)
            return await super().send(contents, seconds)

    server = Timed()
    server.go.set()
    words: WordBatcher = Batcher(server, BatcherLimits(call_seconds=12.0))
    for seconds in (60, math.inf, 5):
        await results(add(words, "a", seconds))
    await results(add(words, "b", 3) + add(words, "c", 7))
    assert given == pytest.approx([12, 12, 5, 7], abs=1)


@pytest.mark.parametrize("limits", [{"calls": 0}, {"pending_items": 0}, {"pending_bytes": 0}])
def test_limits_below_one_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        BatcherLimits(**limits)  # type: ignore[arg-type]


# --- Callers ---


async def test_a_timeout_is_raised_with_the_last_error_as_its_cause() -> None:
    def judge(_batch: Sequence[str], word: str) -> None:
        if word == "a":
            raise away()

    server = running(judge)
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


# --- Capacity ---


async def test_capacity_is_given_in_order_and_not_lost_when_a_waiter_is_cancelled() -> None:
    capacity = Capacity(items=2, size=10)
    await capacity.acquire(6)
    acquiring = [asyncio.create_task(capacity.acquire(size)) for size in (5, 1, 1)]
    await settled()
    assert [task.done() for task in acquiring] == [False] * 3
    acquiring[0].cancel()
    await settled()
    assert [task.done() for task in acquiring] == [True, True, False]
    capacity.release(6)
    acquiring[2].cancel()
    await settled()
    assert acquiring[2].cancelled()
    assert capacity.try_acquire(9)
    assert not capacity.try_acquire(1)


async def test_an_item_larger_than_the_capacity_enters_alone() -> None:
    capacity = Capacity(items=5, size=10)
    assert capacity.try_acquire(11)
    assert not capacity.try_acquire(0)
    capacity.release(11)
    assert capacity.try_acquire(10)
    assert not capacity.try_acquire(1)


# --- Everything together ---

FAULTS = ["whole", "busy", "item", "broken"]


@given(
    st.text("abcdefghijkl", max_size=25),
    st.dictionaries(
        st.sampled_from("abcdefghijkl"), st.lists(st.sampled_from(FAULTS), max_size=3), max_size=6
    ),
    st.sets(st.sampled_from("abcdefghijkl"), max_size=4),
    st.integers(1, 3),
    st.integers(1, 6),
)
def test_each_item_gets_its_own_answer_whatever_fails(
    text: str, faults: dict[str, list[str]], wrong: set[str], calls: int, items: int
) -> None:
    left = {word: list(each) for word, each in faults.items()}
    answered: defaultdict[str, int] = defaultdict(int)

    def judge(batch: Sequence[str], word: str) -> JobClientError | None:
        refusing_whole(*wrong)(batch, word)
        fault = left[word].pop() if left.get(word) else ""
        if fault == "whole":
            raise away()
        if fault == "busy":
            raise failure(Busy("wait", retry_delay=0.0))
        if fault == "broken":
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.UNKNOWN, grpc.aio.Metadata(), grpc.aio.Metadata(), "Stream removed"
            )
        answered[word] += not fault
        return Unavailable("not now") if fault else None

    async def run() -> tuple[list[str | BaseException], Server]:
        server = running(judge)
        words = batcher(server, calls=calls, items=items)
        return await results(add(words, text)), server

    outcomes, server = asyncio.run(run())
    for word, outcome in zip(text, outcomes, strict=True):
        assert isinstance(outcome, InvalidArgument) if word in wrong else outcome == word
    assert server.max_in_flight <= calls
    assert all(len(call) <= items and len(set(call)) == len(call) for call in server.calls)
    assert all(answered[word] >= text.count(word) for word in set(text) - wrong)
