"""What waits goes together, what may pass is sent again, and nobody's fault or absence is another's."""

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
from job_client.hand import Hand
from job_client.item import Item
from job_client.pipeline import Pipeline, PipelineLimits
from job_client.waiting import BatchLimits

AT_ONCE = Backoff(0, 0)
Words = Pipeline[str, str]


def failure(error: ServiceError) -> grpc.aio.AioRpcError:
    """As the servers here fail."""
    status = rpc_status.to_status(error_to_status(error))
    return grpc.aio.AioRpcError(
        status.code, grpc.aio.Metadata(), grpc.aio.Metadata(*status.trailing_metadata), status.details
    )


def away() -> grpc.aio.AioRpcError:
    """As gRPC says that nobody is there."""
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "nobody is there"
    )


class Fault(ServiceError):
    """A fault of the server's own."""


class Busy(ServiceError):
    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"


@dataclass
class Server:
    """Answers each word with itself, once `go` is set, or as `judge` says: it raises, or gives an error for a word."""

    judge: Callable[[Sequence[str], str], JobClientError | None] = lambda _batch, _word: None
    go: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[list[str]] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    field: str = "requests"
    each_once: bool = True

    async def send(self, contents: Sequence[str], seconds: float) -> Sequence[str | JobClientError]:
        assert seconds > 0
        self.calls.append(list(contents))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.go.wait()
            return [self.judge(contents, word) or word for word in contents]
        finally:
            self.under_way -= 1


def running(judge: Callable[[Sequence[str], str], JobClientError | None] | None = None) -> Server:
    server = Server(judge) if judge else Server()
    server.go.set()
    return server


def refusing_whole(*wrong: str, told: int = 10) -> Callable[[Sequence[str], str], None]:
    """A server that names `told` of the words that break a rule."""

    def judge(batch: Sequence[str], _word: str) -> None:
        rule = "must not be this"
        violations = [
            Violation(f"requests[{index}].type" if len(batch) > 1 else "type", "rule", rule)
            for index, word in enumerate(batch)
            if word in wrong
        ]
        if violations:
            raise failure(Refused(violations[:told]))

    return judge


def pipeline(server: Server, calls: int = 1, backoff: Backoff = AT_ONCE, **limits: int) -> Words:
    batch = BatchLimits(limits.pop("items", 1000), limits.pop("size", 1000))
    return Pipeline(server, PipelineLimits(batch, calls, **limits), backoff)


def add(words: Words, text: str, seconds: float = 60.0) -> list[Item[str, str]]:
    """An item of size 1 for each letter; there must be room."""
    items = []
    for letter in text:
        assert words._hand.try_enter(1)
        items.append(words.add(letter, letter, 1, words.now() + seconds))
    return items


async def results(items: Sequence[Item[str, str]]) -> list[str | BaseException]:
    return await asyncio.gather(*(item.result() for item in items), return_exceptions=True)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# --- What goes together ---


async def test_one_alone_goes_at_once_and_what_comes_in_one_turn_goes_together() -> None:
    server = running()
    words = pipeline(server)
    assert await results(add(words, "a")) == ["a"]
    assert await results(add(words, "bcd")) == ["b", "c", "d"]
    assert server.calls == [["a"], ["b", "c", "d"]]


async def test_what_comes_while_calls_are_under_way_goes_together_when_one_has_ended() -> None:
    server = Server()
    words = pipeline(server, calls=2)
    items = []
    for letter in "abcde":
        items += add(words, letter)
        await settled()
    assert server.calls == [["a"], ["b"]]
    server.go.set()
    assert await results(items) == list("abcde")
    assert server.calls == [["a"], ["b"], ["c", "d", "e"]]
    assert server.most_under_way == 2


async def test_batches_keep_their_limits_and_an_id_stands_in_each_once() -> None:
    server = running()
    assert await results(add(pipeline(server, items=2), "abc")) == list("abc")
    assert await results(add(pipeline(server, size=1), "de")) == list("de")
    assert await results(add(pipeline(server), "fgf")) == list("fgf")
    assert server.calls == [["a", "b"], ["c"], ["d"], ["e"], ["f", "g"], ["f"]]


# --- What fails ---


async def test_an_error_of_one_is_raised_for_that_one() -> None:
    server = running(lambda _, word: JobIdTaken("taken") if word == "b" else None)
    outcomes = await results(add(pipeline(server), "abc"))
    assert isinstance(outcomes[1], JobIdTaken)
    assert [outcomes[0], outcomes[2]] == ["a", "c"]
    assert len(server.calls) == 1


async def test_only_those_that_may_pass_are_sent_again() -> None:
    tries: Counter[str] = Counter()

    def judge(_batch: Sequence[str], word: str) -> JobClientError | None:
        tries[word] += 1
        return Unavailable("not now") if word in "bd" and tries[word] < 3 else None

    server = running(judge)
    assert await results(add(pipeline(server), "abcd")) == list("abcd")
    assert server.calls == [["a", "b", "c", "d"], ["b", "d"], ["b", "d"]]


async def test_a_call_that_failed_is_sent_again_and_keeps_its_place_meanwhile() -> None:
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
    words = pipeline(server)
    items = add(words, "ab")
    await settled()
    items += add(words, "c")
    server.go.set()
    assert await results(items) == list("abc")
    assert server.calls == [["a", "b"]] * 4 + [["c"]]


async def test_a_server_s_wish_for_a_later_try_is_heeded_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = [True]

    def judge(_batch: Sequence[str], _word: str) -> None:
        if first:
            first.pop()
            raise failure(Busy("wait", retry_delay=0.2))

    words = pipeline(running(judge))
    begin = words.now()
    assert await results(add(words, "a")) == ["a"]
    assert 0.2 <= words.now() - begin < 10
    assert "the call for 1 jobs is sent again in 0.200 s: RESOURCE_EXHAUSTED: wait" in caplog.text


async def test_many_calls_that_are_sent_again_are_few_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 20

    def judge(_batch: Sequence[str], _word: str) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise failure(Busy("wait", retry_delay=0.0))

    words = pipeline(running(judge), backoff=Backoff(0.001, 0.001))
    assert await results(add(words, "a")) == ["a"]
    assert len(caplog.records) == 1
    monkeypatch.setattr("job_client.pipeline.TELL_SECONDS", 0.0)
    words._tell_again_at = 0.0
    failures = 1
    assert await results(add(words, "b")) == ["b"]
    assert "so were 19 other calls since the last line like this" in caplog.records[1].getMessage()


@pytest.mark.parametrize("told", [1, 10], ids=["one named at a time", "all named"])
async def test_who_breaks_a_rule_of_the_contract_does_not_hold_up_the_others(told: int) -> None:
    server = running(refusing_whole("c", "h", told=told))
    outcomes = await results(add(pipeline(server), "abcdefghij"))
    wrong = [outcomes.pop(7), outcomes.pop(2)]
    assert outcomes == list("abdefgij")
    for error in wrong:
        assert isinstance(error, InvalidArgument)
        assert [violation.field for violation in error.violations] == ["type"]
    assert len(server.calls) <= 5


async def test_one_that_the_server_fails_at_is_found_by_halves_and_fails_alone() -> None:
    def judge(batch: Sequence[str], _word: str) -> None:
        if "e" in batch:
            raise failure(Fault("the server failed to handle the call"))

    server = running(judge)
    outcomes = await results(add(pipeline(server), "abcdefgh"))
    error = outcomes.pop(4)
    assert isinstance(error, JobClientError)
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert outcomes == list("abcdfgh")
    assert len(server.calls) == 1 + 2 * 3


async def test_a_call_that_may_not_be_made_at_all_is_made_once() -> None:
    def judge(_batch: Sequence[str], _word: str) -> None:
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), grpc.aio.Metadata(), "who are you?"
        )

    server = running(judge)
    outcomes = await results(add(pipeline(server), "abc"))
    assert {str(outcome) for outcome in outcomes} == {"UNAUTHENTICATED: who are you?"}
    assert len(server.calls) == 1


async def test_a_call_is_given_up_after_its_own_time_or_when_no_caller_waits_any_more() -> None:
    given: list[float] = []

    class Timed(Server):
        async def send(self, contents: Sequence[str], seconds: float) -> Sequence[str | JobClientError]:
            given.append(seconds)
            return await super().send(contents, seconds)

    server = Timed()
    server.go.set()
    words: Words = Pipeline(server, PipelineLimits(call_seconds=12.0))
    for seconds in (60, math.inf, 5):
        await results(add(words, "a", seconds))
    await results(add(words, "b", 3) + add(words, "c", 7))
    assert given == pytest.approx([12, 12, 5, 7], abs=1)


@pytest.mark.parametrize("limits", [{"calls": 0}, {"items_in_hand": 0}, {"bytes_in_hand": 0}])
def test_limits_that_let_nothing_through_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        PipelineLimits(**limits)  # type: ignore[arg-type]


# --- Callers ---


async def test_when_the_time_is_up_the_caller_hears_of_it_and_why() -> None:
    def judge(_batch: Sequence[str], word: str) -> None:
        if word == "a":
            raise away()

    server = running(judge)
    words = pipeline(server, backoff=Backoff(0.01, 0.01))
    (error,) = await results(add(words, "a", seconds=0.05))
    assert isinstance(error, DeadlineExceeded)
    assert error.metadata == {"id": "a"}
    assert isinstance(error.__cause__, Unavailable)
    assert "nobody is there" in str(error)
    assert await results(add(words, "b")) == ["b"]


async def test_who_waits_behind_a_call_that_takes_long_is_not_kept_beyond_its_time_and_not_sent() -> None:
    server = Server()
    words = pipeline(server)
    first = add(words, "a")
    await settled()
    late = add(words, "b", seconds=0.02)
    (error,) = await results(late)
    assert isinstance(error, DeadlineExceeded)
    server.go.set()
    assert await results([*first, *add(words, "c")]) == ["a", "c"]
    assert server.calls == [["a"], ["c"]]


async def test_a_caller_that_goes_away_tears_no_call_and_is_not_sent_if_it_waited() -> None:
    server = Server()
    words = pipeline(server)
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


async def test_beyond_the_room_callers_wait_and_their_time_counts() -> None:
    server = Server()
    words = pipeline(server, items_in_hand=2)
    items = add(words, "ab")
    await settled()
    with pytest.raises(DeadlineExceeded):
        await words.start("c", "c", 1, words.now() + 0.01)
    waiting = asyncio.create_task(words.start("d", "d", 1, math.inf))
    await settled()
    assert not waiting.done()
    server.go.set()
    assert await results([*items, await waiting]) == list("abd")


async def test_what_is_in_hand_when_the_client_is_closed_ends_with_that() -> None:
    server = Server()
    words = pipeline(server, items_in_hand=3)
    items = add(words, "a")
    await settled()
    items += add(words, "bc")
    at_the_door = asyncio.create_task(words.start("d", "d", 1, math.inf))
    await settled()
    await words.close()
    assert all(isinstance(outcome, ClientClosed) for outcome in await results(items))
    with pytest.raises(ClientClosed):
        await at_the_door
    with pytest.raises(ClientClosed):
        await words.start("e", "e", 1, math.inf)
    assert server.calls == [["a"]]
    assert server.under_way == 0


async def test_a_call_that_has_not_even_begun_when_the_client_is_closed_leaves_nobody_waiting() -> None:
    server = Server()
    words = pipeline(server)
    items = add(words, "ab")
    await asyncio.sleep(0)
    await words.close()
    assert all(isinstance(outcome, ClientClosed) for outcome in await results(items))
    assert server.calls == []


async def test_an_answer_that_is_not_the_contract_s_is_told_to_all_who_wait_for_it() -> None:
    class Short(Server):
        async def send(self, contents: Sequence[str], seconds: float) -> Sequence[str | JobClientError]:
            return (await super().send(contents, seconds))[1:]

    server = Short()
    server.go.set()
    outcomes = await results(add(pipeline(server), "ab"))
    assert [getattr(outcome, "reason", "") for outcome in outcomes] == ["CLIENT_FAULT"] * 2


# --- Room ---


async def test_room_is_given_in_order_and_not_lost_with_those_who_leave() -> None:
    hand = Hand(items=2, size=10)
    await hand.enter(6)
    entering = [asyncio.create_task(hand.enter(size)) for size in (5, 1, 1)]
    await settled()
    assert [task.done() for task in entering] == [False] * 3
    entering[0].cancel()
    await settled()
    assert [task.done() for task in entering] == [True, True, False]
    hand.leave(6)
    entering[2].cancel()
    await settled()
    assert entering[2].cancelled()
    assert hand.try_enter(9)
    assert not hand.try_enter(1)


async def test_what_is_larger_than_all_room_enters_alone() -> None:
    hand = Hand(items=5, size=10)
    assert hand.try_enter(11)
    assert not hand.try_enter(0)
    hand.leave(11)
    assert hand.try_enter(10)
    assert not hand.try_enter(1)


# --- All of it ---

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
def test_whatever_fails_each_is_answered_once_with_its_own_answer(
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
        words = pipeline(server, calls=calls, items=items)
        return await results(add(words, text)), server

    outcomes, server = asyncio.run(run())
    for word, outcome in zip(text, outcomes, strict=True):
        assert isinstance(outcome, InvalidArgument) if word in wrong else outcome == word
    assert server.most_under_way <= calls
    assert all(len(call) <= items and len(set(call)) == len(call) for call in server.calls)
    assert all(answered[word] >= text.count(word) for word in set(text) - wrong)
