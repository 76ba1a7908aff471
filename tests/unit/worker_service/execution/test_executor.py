"""One job at a time, in each way of running: whatever its handler does becomes an outcome and touches no other job."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contract_runtime.structs import struct_to_dict
from service_runtime.log_values import MAX_TRACE
from tests.unit.worker_service import sample_handlers
from tests.waiting import until
from worker_service import Job
from worker_service.execution import child
from worker_service.execution.executor import Executor
from worker_service.execution.invoke import call
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Reason, Succeeded
from worker_service.handler_api.handler import handlers_in
from worker_service.handler_api.job import MOST_RETRY_AFTER

SPECS = {spec.type: spec for spec in handlers_in(sample_handlers)}
WAYS = ["act-loop", "act-async", "act-thread", "act-process"]
DEADLINE = 60.0
WAITS = {"later": 90, "later, no text": 90, "later, without end": MOST_RETRY_AFTER, "group, later": 90}


def job(way: str, payload: dict[str, Any]) -> Job:
    return Job(id="0190-id", type=way, attempt=2, payload=payload)


def result_of(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Succeeded), outcome
    return struct_to_dict(outcome.result)


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Executor]:
    """An executor for the tests that leave it as it was, so that they start no process of their own."""
    executor = Executor(threads=2, processes=1)
    yield executor
    await executor.close()


@pytest.fixture
async def executor() -> AsyncIterator[Executor]:
    executor = Executor(threads=2, processes=2)
    yield executor
    await executor.close()


def run(executor: Executor, way: str, **payload: Any) -> asyncio.Task[Outcome]:
    return asyncio.create_task(executor.run(SPECS[way], job(way, payload)))


async def test_each_way_runs_where_it_says(shared: Executor) -> None:
    where = {way: result_of(await run(shared, way)) for way in WAYS}
    assert [where[way]["pid"] == os.getpid() for way in WAYS] == [True, True, True, False]
    assert [where[way]["thread"] for way in WAYS[:3]] == ["job-loop", "job-loop", "job-0190-id"]
    assert all((place["id"], place["attempt"]) == ("0190-id", 2) for place in where.values())


@pytest.mark.parametrize("way", WAYS)
async def test_a_result_comes_back_as_it_went(shared: Executor, way: str) -> None:
    value = {"a": [1, 2.5, None, True, {"b": "ü\0"}], "": {}}
    assert result_of(await run(shared, way, **{"return": value})) == value


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "reason", "message"),
    [
        ("input", Reason.INVALID_INPUT, "size: must be positive, is -1"),
        ("value", Reason.HANDLER_ERROR, "ValueError: no such thing"),
        ("no message", Reason.HANDLER_ERROR, "ValueError"),
        ("permanent", Reason.PERMANENT_ERROR, "no such customer"),
        ("permanent, no text", Reason.PERMANENT_ERROR, "PermanentError"),
        ("later", Reason.RETRY_AFTER, "the service is busy"),
        ("later, no text", Reason.RETRY_AFTER, "to be tried again after 90 s"),
        ("later, without its own making", Reason.RETRY_AFTER, "Careless"),
        ("long", Reason.HANDLER_ERROR, f"ValueError: {'x' * 987}…"),
        ("surrogate", Reason.HANDLER_ERROR, "ValueError: bad \\udcff"),
        ("not picklable", Reason.HANDLER_ERROR, "NotPicklable: has a lock"),
        ("no text", Reason.HANDLER_ERROR, "NoText: (its text cannot be had: KeyError)"),
        ("exit", Reason.HANDLER_ERROR, "SystemExit: 3"),
        ("interrupt", Reason.HANDLER_ERROR, "KeyboardInterrupt"),
        ("generator", Reason.HANDLER_ERROR, "GeneratorExit"),
        ("cancelled", Reason.HANDLER_ERROR, "CancelledError"),
        ("recursion", Reason.HANDLER_ERROR, "RecursionError: maximum recursion depth exceeded"),
        ("later, without end", Reason.RETRY_AFTER, "Endless"),
        ("attributes in data", Reason.HANDLER_ERROR, "ApiError: no such customer"),
        ("attributes in itself", Reason.HANDLER_ERROR, "Recursing"),
        ("odd syntax error", Reason.HANDLER_ERROR, "SyntaxError: bad (f, line 1)"),
        ("liar", Reason.HANDLER_ERROR, "Liar: lies"),
        ("unbounded", Reason.HANDLER_ERROR, f"Unbounded: {'x' * 988}…"),
        ("no str", Reason.HANDLER_ERROR, "NoStr: (its text cannot be had: TypeError)"),
        ("nameless", Reason.HANDLER_ERROR, "Nameless"),
        ("odd notes", Reason.HANDLER_ERROR, "ValueError: odd"),
        (
            "group",
            Reason.HANDLER_ERROR,
            "ExceptionGroup: one of many (2 sub-exceptions): ValueError: beside it; KeyError: 'key'",
        ),
        (
            "group, permanent",
            Reason.PERMANENT_ERROR,
            "no such customer (also ValueError: beside it; RetryAfter: to be tried again after 5 s)",
        ),
        ("group, input", Reason.INVALID_INPUT, "size: must be positive, is -1 (also ValueError: beside it; "),
        (
            "group, later",
            Reason.RETRY_AFTER,
            "the service is busy (also ValueError: beside it; RetryAfter: the other)",
        ),
    ],
)
async def test_an_error_fails_its_job_alone(
    shared: Executor, way: str, name: str, reason: Reason, message: str
) -> None:
    with capture_logs() as logs:
        outcome = await run(shared, way, **{"raise": name})
    assert isinstance(outcome, Failed)
    assert outcome.reason == reason
    assert outcome.message.startswith(message)
    assert "Traceback" not in outcome.message
    assert outcome.permanent == (reason in (Reason.INVALID_INPUT, Reason.PERMANENT_ERROR))
    assert outcome.retry_after == WAITS.get(name)
    assert isinstance(await run(shared, way), Succeeded)
    told = logs[0]
    assert (told["job_id"], told["type"], told["attempt"], told["reason"]) == ("0190-id", way, 2, reason)
    # A group has more in it than was said.
    is_unexpected = reason == Reason.HANDLER_ERROR or name.startswith("group")
    assert ("in raise_by_name" in told.get("exception", "")) == is_unexpected
    assert len(told.get("exception", "")) <= MAX_TRACE


@pytest.mark.parametrize("way", ["act-thread", "act-process"])
@pytest.mark.parametrize(
    ("name", "reason", "message"),
    [
        ("none", Reason.INVALID_RESULT, "result: must be a JSON object (dict), is of type NoneType"),
        ("text", Reason.INVALID_RESULT, "result: must be a JSON object (dict), is of type str"),
        ("list", Reason.INVALID_RESULT, "result: must be a JSON object (dict), is of type list"),
        ("nan", Reason.INVALID_RESULT, "result.rows[1].x: must be a finite number, is nan"),
        ("infinite", Reason.INVALID_RESULT, "result.x: must be a finite number, is -inf"),
        ("key", Reason.INVALID_RESULT, "result.rows: keys must be strings, one is of type int"),
        ("set", Reason.INVALID_RESULT, "result.x: must be JSON data, is of type set"),
        ("bytes", Reason.INVALID_RESULT, "result.x: must be JSON data, is of type bytes"),
        ("surrogate", Reason.INVALID_RESULT, "result.x: must be valid Unicode, has a lone surrogate"),
        ("circle", Reason.INVALID_RESULT, "result" + ".inner" * 32 + ": must be at most 32 levels deep"),
        (
            "integer",
            Reason.INVALID_RESULT,
            "result.x: must be an integer between -2^53 and 2^53, or a string",
        ),
        ("large", Reason.RESULT_TOO_LARGE, "result: must be at most 1048576 bytes as protobuf, is 1048591"),
    ],
)
async def test_a_result_that_is_no_json_object_within_the_limits_fails_its_job(
    shared: Executor, way: str, name: str, reason: Reason, message: str
) -> None:
    assert await run(shared, way, return_by_name=name) == Failed(reason, message, permanent=True)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(object()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "reason", "message"),
    [
        ("hostile dict", Reason.HANDLER_ERROR, "KeyError: 'hostile'"),
        ("hostile values", Reason.HANDLER_ERROR, "KeyError: 'hostile'"),
        ("liar", Reason.INVALID_RESULT, "result: must be a JSON object (dict), is of type Liar"),
    ],
)
async def test_a_result_whose_own_code_misbehaves_fails_its_job_alone(
    shared: Executor, way: str, name: str, reason: Reason, message: str
) -> None:
    assert await run(shared, way, return_by_name=name) == Failed(
        reason, message, permanent=reason == Reason.INVALID_RESULT
    )


@given(ANYTHING)
def test_any_return_value_becomes_an_outcome_fit_for_the_contract(value: Any) -> None:
    outcome = call(lambda _job: value, job("x", {})).outcome
    match outcome:
        case Succeeded(result):
            assert struct_to_dict(result).keys() == value.keys()
        case Failed(reason, message):
            assert reason in (Reason.INVALID_RESULT, Reason.RESULT_TOO_LARGE)
            assert message.encode()


@given(st.text(st.characters()))
def test_any_error_text_becomes_a_bounded_message_fit_for_the_contract(text: str) -> None:
    def fail(_job: Job) -> None:
        raise ValueError(text)

    outcome = call(fail, job("x", {})).outcome
    assert isinstance(outcome, Failed)
    assert outcome.message.encode().startswith(b"ValueError")


@pytest.mark.parametrize(
    ("payload", "how"),
    [
        ({"os_exit": 7}, "exit status 7"),
        ({"os_exit": 0}, "exit status 0"),
        ({"die": signal.SIGKILL}, "signal 9, Killed"),
        ({"die": signal.SIGSEGV}, "signal 11, Segmentation fault"),
        ({"die": signal.SIGTERM}, "signal 15, Terminated"),
    ],
)
async def test_a_process_that_dies_costs_its_own_job_only(
    executor: Executor, tmp_path: Path, payload: dict[str, Any], how: str
) -> None:
    go_on = tmp_path / "go-on"
    neighbour = run(executor, "act-process", wait_for=str(go_on))
    outcome = await asyncio.wait_for(run(executor, "act-process", **payload), DEADLINE)
    assert isinstance(outcome, Failed)
    assert outcome.reason == Reason.WORKER_PROCESS_DIED
    assert outcome.message.startswith("the process that ran the handler died: ")
    assert how in outcome.message
    go_on.touch()
    assert isinstance(await neighbour, Succeeded)
    assert isinstance(await run(executor, "act-process"), Succeeded)


async def test_an_idle_process_that_was_killed_costs_no_job(executor: Executor) -> None:
    process = psutil.Process(result_of(await run(executor, "act-process"))["pid"])
    process.kill()
    [child] = executor._processes._idle
    await until(lambda: not child.is_alive)
    assert result_of(await run(executor, "act-process"))["pid"] != process.pid


async def test_a_process_that_cannot_be_started_costs_its_own_job_only(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_process: Any) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(child, "_start_without_ctrl_c", refuse)
        outcome = await run(executor, "act-process")

    assert isinstance(outcome, Failed)
    assert (outcome.reason, outcome.permanent) == (Reason.WORKER_PROCESS_DIED, False)
    assert "could not be started: [Errno 11] Resource temporarily unavailable" in outcome.message
    assert isinstance(await run(executor, "act-process"), Succeeded)


async def test_a_process_is_used_again(executor: Executor) -> None:
    pids = [result_of(await run(executor, "act-process"))["pid"] for _ in range(3)]
    assert len(set(pids)) == 1


async def test_no_more_processes_than_allowed_run_at_once(executor: Executor) -> None:
    outcomes = await asyncio.gather(*(run(executor, "act-process") for _ in range(6)))
    assert len({result_of(outcome)["pid"] for outcome in outcomes}) <= 2


async def test_cancelling_kills_the_process_and_frees_its_place(tmp_path: Path) -> None:
    executor = Executor(threads=1, processes=1)
    running = run(executor, "act-process", hang=str(tmp_path / "pid"))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    process = psutil.Process(int((tmp_path / "pid").read_text()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not process.is_running()
    assert isinstance(await run(executor, "act-process"), Succeeded)
    await executor.close()


@pytest.mark.parametrize("then", [None, "value", "exit"])
async def test_cancelling_reaches_an_async_handler_and_is_never_a_failure(
    shared: Executor, tmp_path: Path, then: str | None
) -> None:
    running = run(shared, "act-async", forever=str(tmp_path / "runs"), then=then)
    await until((tmp_path / "runs").exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not (tmp_path / "runs").exists()


async def test_a_result_that_an_async_handler_still_returns_counts(shared: Executor, tmp_path: Path) -> None:
    running = run(shared, "act-async", swallow=str(tmp_path / "runs"))
    await until((tmp_path / "runs").exists)
    running.cancel()
    assert result_of(await running) == {"cleaned": "up"}


async def test_a_handler_that_cancels_itself_fails(shared: Executor) -> None:
    outcome = await run(shared, "act-async", cancel_self=True)
    assert outcome == Failed(Reason.HANDLER_ERROR, "CancelledError")


async def test_a_cancelled_thread_keeps_its_place_until_it_returns(tmp_path: Path) -> None:
    executor = Executor(threads=1, processes=1)
    abandoned = run(executor, "act-thread", wait_for=str(tmp_path / "go-on"))
    await until(lambda: any(thread.name == "job-0190-id" for thread in threading.enumerate()))
    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abandoned
    following = run(executor, "act-thread")
    done, _ = await asyncio.wait([following], timeout=0.05)
    assert not done
    (tmp_path / "go-on").touch()
    assert isinstance(await following, Succeeded)


async def test_closing_interrupts_what_runs_and_what_comes(tmp_path: Path) -> None:
    executor = Executor(threads=1, processes=1)
    running = [
        run(executor, "act-async", forever=str(tmp_path / "async"), then="value"),
        run(executor, "act-thread", wait_for=str(tmp_path / "go-on")),
        run(executor, "act-process", hang=str(tmp_path / "pid")),
    ]
    await until(lambda: (tmp_path / "async").exists() and (tmp_path / "pid").exists())
    await executor.close()
    assert await asyncio.gather(*running) == [Interrupted()] * 3
    assert await run(executor, "act-loop") == Interrupted()
    (tmp_path / "go-on").touch()


async def test_closing_ends_all_processes() -> None:
    executor = Executor(threads=1, processes=1)
    process = psutil.Process(result_of(await run(executor, "act-process"))["pid"])
    await executor.close()
    assert not process.is_running()


async def test_no_process_exists_before_one_is_needed() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    executor = Executor(threads=1, processes=4)
    await run(executor, "act-thread")
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    await executor.close()


async def test_ctrl_c_does_not_reach_a_process(shared: Executor) -> None:
    assert isinstance(await run(shared, "act-process", sigint=True), Succeeded)


async def test_a_handler_s_own_log_lines_name_its_job(shared: Executor) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        for way in WAYS[:3]:
            await run(shared, way, log="hello")
    assert [(line["event"], line["job_id"], line["type"]) for line in logs] == [
        ("hello", "0190-id", way) for way in WAYS[:3]
    ]


WORKER = """
import asyncio, sys
from tests.unit.worker_service.sample_handlers import act_in_process
from tests.unit.worker_service.execution.test_executor import SPECS, job
from worker_service.execution.executor import Executor

async def main():
    executor = Executor(threads=1, processes=1)
    await executor.run(SPECS["act-process"], job("act-process", {"hang": sys.argv[1]}))

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_a_process_ends_when_its_worker_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path / "pid")]) as worker:
        try:
            deadline = time.monotonic() + DEADLINE
            while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
                assert time.monotonic() < deadline
                assert worker.poll() is None
                time.sleep(0.01)
            process = psutil.Process(int((tmp_path / "pid").read_text()))
        finally:
            worker.kill()
    process.wait(DEADLINE)


def test_what_a_handler_binds_to_its_log_is_not_bound_for_the_next_one() -> None:
    def bind(_job: Job) -> dict[str, Any]:
        structlog.contextvars.bind_contextvars(customer="the first one's")
        return {}

    def bound(_job: Job) -> dict[str, Any]:
        return structlog.contextvars.get_contextvars()

    call(bind, job("x", {}))
    outcome = call(bound, job("y", {})).outcome

    assert isinstance(outcome, Succeeded)
    assert "customer" not in outcome.result
    assert outcome.result["type"] == "y"
    assert "job_id" not in structlog.contextvars.get_contextvars()
