"""Items are sent in batches, transient errors are repeated, and one item's fault does not hurt another."""

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_client import (
    InvalidArgument,
    JobClientError,
    JobIdTaken,
    Unavailable,
)
from job_client.backoff import Backoff
from job_client.batching import Batcher, BatcherLimits
from tests.unit.job_client.word_server import (
    Busy,
    Fault,
    Server,
    WordBatcher,
    add,
    away,
    batcher,
    failure,
    refusing_whole,
    results,
    running,
    settled,
)

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

    def respond(_batch: Sequence[str], word: str) -> JobClientError | None:
        tries[word] += 1
        return Unavailable("not now") if word in "bd" and tries[word] < 3 else None

    server = running(respond)
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

    def respond(_batch: Sequence[str], _word: str) -> None:
        if faults:
            raise faults.pop()

    server.respond = respond
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

    def respond(_batch: Sequence[str], _word: str) -> None:
        if first:
            first.pop()
            raise failure(Busy("wait", retry_delay=0.2))

    words = batcher(running(respond))
    begin = words.now()
    assert await results(add(words, "a")) == ["a"]
    assert 0.2 <= words.now() - begin < 10
    assert "the call for 1 jobs will be sent again in 0.200 s: RESOURCE_EXHAUSTED: wait" in caplog.text


async def test_many_repeated_calls_are_logged_in_few_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 20

    def respond(_batch: Sequence[str], _word: str) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise failure(Busy("wait", retry_delay=0.0))

    words = batcher(running(respond), backoff=Backoff(0.001, 0.001))
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
    def respond(batch: Sequence[str], _word: str) -> None:
        if "e" in batch:
            raise failure(Fault("the server failed to handle the call"))

    server = running(respond)
    outcomes = await results(add(batcher(server), "abcdefgh"))
    error = outcomes.pop(4)
    assert isinstance(error, JobClientError)
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert outcomes == list("abcdfgh")
    assert len(server.calls) == 1 + 2 * 3


async def test_a_call_with_a_permanent_error_is_made_once() -> None:
    def respond(_batch: Sequence[str], _word: str) -> None:
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), grpc.aio.Metadata(), "no credentials"
        )

    server = running(respond)
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

    def respond(batch: Sequence[str], word: str) -> JobClientError | None:
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
        server = running(respond)
        words = batcher(server, calls=calls, items=items)
        return await results(add(words, text)), server

    outcomes, server = asyncio.run(run())
    for word, outcome in zip(text, outcomes, strict=True):
        assert isinstance(outcome, InvalidArgument) if word in wrong else outcome == word
    assert server.max_in_flight <= calls
    assert all(len(call) <= items and len(set(call)) == len(call) for call in server.calls)
    assert all(answered[word] >= text.count(word) for word in set(text) - wrong)
