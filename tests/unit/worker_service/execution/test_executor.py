"""Runs handlers in each place: whatever a handler does becomes the outcome of its job and affects no other
job.
"""

import asyncio
import errno
import os
import signal
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import structlog
from google.rpc.code_pb2 import Code
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contract_runtime.structs import struct_to_dict
from job_client._gen.jobs.v1.job_pb2 import JobError
from service_runtime.log_values import MAX_TRACE
from service_runtime.validation import ContractValidator
from tests.unit.worker_service import sample_handlers
from tests.waiting import until
from worker_service import Job
from worker_service.execution import child
from worker_service.execution.error_text import MAX_TEXT
from worker_service.execution.executor import Executor
from worker_service.execution.invoke import invoke
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Reason, Succeeded
from worker_service.handler_api.errors import MAX_RETRY_AFTER
from worker_service.handler_api.handler import handlers_in

SPECS = {spec.type: spec for spec in handlers_in(sample_handlers)}
WAYS = ["act-loop", "act-async", "act-thread", "act-process"]
VALIDATOR = ContractValidator()
DEADLINE = 60.0
WAITS = {"later": 90, "later, no text": 90, "later, without end": MAX_RETRY_AFTER, "group, later": 90}


def job(way: str, payload: dict[str, Any]) -> Job:
    return Job(id="0190-id", type=way, attempt=2, payload=payload)


def result_of(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Succeeded), outcome
    return struct_to_dict(outcome.result)


@pytest.fixture(scope="module")
async def two_processes() -> AsyncIterator[Executor]:
    executor = Executor(threads=1, processes=2)
    yield executor
    await executor.close()


def run(executor: Executor, way: str, **payload: Any) -> asyncio.Task[Outcome]:
    return asyncio.create_task(executor.run(SPECS[way], job(way, payload)))


async def test_each_handler_runs_where_it_declares(shared: Executor) -> None:
    where = {way: result_of(await run(shared, way)) for way in WAYS}
    assert [where[way]["pid"] == os.getpid() for way in WAYS] == [True, True, True, False]
    assert [where[way]["thread"] for way in WAYS[:3]] == ["job-loop", "job-loop", "job-0190-id"]
    assert all((place["id"], place["attempt"]) == ("0190-id", 2) for place in where.values())


@pytest.mark.parametrize("way", WAYS)
async def test_a_result_comes_back_unchanged(shared: Executor, way: str) -> None:
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
        ("later, no text", Reason.RETRY_AFTER, "try again after 90 s"),
        ("later, no constructor", Reason.RETRY_AFTER, "Careless"),
        ("long", Reason.HANDLER_ERROR, f"ValueError: {'x' * 987}…"),
        ("surrogate", Reason.HANDLER_ERROR, "ValueError: bad \\udcff"),
        ("not picklable", Reason.HANDLER_ERROR, "NotPicklable: has a lock"),
        ("no text", Reason.HANDLER_ERROR, "NoText: (reading its text raised KeyError)"),
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
        ("no str", Reason.HANDLER_ERROR, "NoStr: (reading its text raised TypeError)"),
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
            "no such customer (also ValueError: beside it; RetryAfter: try again after 5 s)",
        ),
        ("group, input", Reason.INVALID_INPUT, "size: must be positive, is -1 (also ValueError: beside it; "),
        (
            "group, later",
            Reason.RETRY_AFTER,
            "the service is busy (also ValueError: beside it; RetryAfter: the other)",
        ),
    ],
)
async def test_an_error_fails_only_its_own_job(
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
    line = logs[0]
    assert (line["job_id"], line["type"], line["attempt"], line["reason"]) == ("0190-id", way, 2, reason)
    # The message of a group does not name all of its errors.
    is_unexpected = reason == Reason.HANDLER_ERROR or name.startswith("group")
    assert ("in raise_by_name" in line.get("exception", "")) == is_unexpected
    assert len(line.get("exception", "")) <= MAX_TRACE


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
async def test_an_invalid_or_too_large_result_fails_its_job(
    shared: Executor, way: str, name: str, reason: Reason, message: str
) -> None:
    assert await run(shared, way, return_by_name=name) == Failed(reason, message, permanent=True)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(object()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=20,
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
async def test_a_result_whose_own_code_misbehaves_fails_only_its_own_job(
    shared: Executor, way: str, name: str, reason: Reason, message: str
) -> None:
    assert await run(shared, way, return_by_name=name) == Failed(
        reason, message, permanent=reason == Reason.INVALID_RESULT
    )


@given(ANYTHING)
def test_any_return_value_becomes_an_outcome_valid_for_the_contract(value: Any) -> None:
    outcome = invoke(lambda _job: value, job("x", {})).outcome
    match outcome:
        case Succeeded(result):
            assert struct_to_dict(result).keys() == value.keys()
        case Failed(reason, message):
            assert reason in (Reason.INVALID_RESULT, Reason.RESULT_TOO_LARGE)
            assert message.encode()


@given(st.text(st.characters()), st.sampled_from([1, MAX_TEXT]))
def test_any_error_text_becomes_a_bounded_message_valid_for_the_contract(text: str, times: int) -> None:
    def fail(_job: Job) -> None:
        raise ValueError(text * times)

    outcome = invoke(fail, job("x", {})).outcome
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("ValueError")
    assert len(outcome.message) <= MAX_TEXT
    VALIDATOR.check(JobError(code=Code.INTERNAL, message=outcome.message, reason=outcome.reason))


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
@pytest.mark.usefixtures("spawned")
async def test_a_process_that_dies_fails_only_its_own_job(
    two_processes: Executor, tmp_path: Path, payload: dict[str, Any], how: str
) -> None:
    go_on = tmp_path / "go-on"
    neighbour = run(two_processes, "act-process", wait_for=str(go_on))
    outcome = await asyncio.wait_for(run(two_processes, "act-process", **payload), DEADLINE)
    assert isinstance(outcome, Failed)
    assert outcome.reason == Reason.WORKER_PROCESS_DIED
    assert outcome.message.startswith("the process that ran the handler died: ")
    assert how in outcome.message
    go_on.touch()
    assert isinstance(await neighbour, Succeeded)
    assert isinstance(await run(two_processes, "act-process"), Succeeded)


async def test_a_killed_idle_process_fails_no_job(shared: Executor) -> None:
    process = psutil.Process(result_of(await run(shared, "act-process"))["pid"])
    process.kill()
    [child] = shared._processes._idle
    await until(lambda: not child.is_alive)
    assert result_of(await run(shared, "act-process"))["pid"] != process.pid


async def test_a_process_that_cannot_be_started_fails_only_its_own_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executor = Executor(threads=1, processes=1)

    def refuse(_process: Any) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(child, "_start_without_ctrl_c", refuse)
        outcome = await run(executor, "act-process")

    assert isinstance(outcome, Failed)
    assert (outcome.reason, outcome.permanent) == (Reason.WORKER_PROCESS_DIED, False)
    assert "could not be started: [Errno 11] Resource temporarily unavailable" in outcome.message
    assert isinstance(await run(executor, "act-process"), Succeeded)
    await executor.close()


async def test_a_process_is_used_again(shared: Executor) -> None:
    pids = [result_of(await run(shared, "act-process"))["pid"] for _ in range(3)]
    assert len(set(pids)) == 1


async def test_no_more_processes_than_allowed_run_at_once(two_processes: Executor) -> None:
    outcomes = await asyncio.gather(*(run(two_processes, "act-process") for _ in range(6)))
    assert len({result_of(outcome)["pid"] for outcome in outcomes}) <= 2


async def test_cancelling_kills_the_process_and_frees_its_slot(shared: Executor, tmp_path: Path) -> None:
    running = run(shared, "act-process", hang=str(tmp_path / "pid"))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    process = psutil.Process(int((tmp_path / "pid").read_text()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not process.is_running()
    assert isinstance(await run(shared, "act-process"), Succeeded)


@pytest.mark.parametrize("then", [None, "value", "exit"])
async def test_a_cancelled_async_handler_stops_and_its_job_does_not_fail(
    shared: Executor, tmp_path: Path, then: str | None
) -> None:
    running = run(shared, "act-async", forever=str(tmp_path / "runs"), then=then)
    await until((tmp_path / "runs").exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not (tmp_path / "runs").exists()


async def test_a_cancelled_async_handler_can_still_return_a_result(shared: Executor, tmp_path: Path) -> None:
    running = run(shared, "act-async", swallow=str(tmp_path / "runs"))
    await until((tmp_path / "runs").exists)
    running.cancel()
    assert result_of(await running) == {"cleaned": "up"}


async def test_a_handler_that_cancels_itself_fails(shared: Executor) -> None:
    outcome = await run(shared, "act-async", cancel_self=True)
    assert outcome == Failed(Reason.HANDLER_ERROR, "CancelledError")


async def test_a_cancelled_thread_keeps_its_slot_until_it_returns(tmp_path: Path) -> None:
    executor = Executor(threads=1, processes=1)
    cancelled = run(executor, "act-thread", wait_for=str(tmp_path / "go-on"))
    await until(lambda: any(thread.name == "job-0190-id" for thread in threading.enumerate()))
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    following = run(executor, "act-thread")
    done, _ = await asyncio.wait([following], timeout=0.05)
    assert not done
    (tmp_path / "go-on").touch()
    assert isinstance(await following, Succeeded)


async def test_closing_interrupts_running_and_later_jobs(tmp_path: Path) -> None:
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


async def test_a_process_exists_from_its_first_use_until_the_executor_is_closed() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    executor = Executor(threads=1, processes=4)
    await run(executor, "act-thread")
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    process = psutil.Process(result_of(await run(executor, "act-process"))["pid"])
    await executor.close()
    assert not process.is_running()


async def test_a_process_ignores_ctrl_c(spawned: Executor) -> None:
    assert isinstance(await run(spawned, "act-process", sigint=True), Succeeded)


async def test_the_log_lines_of_a_handler_name_its_job(shared: Executor) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        for way in WAYS[:3]:
            await run(shared, way, log="hello")
    assert [(line["event"], line["job_id"], line["type"]) for line in logs] == [
        ("hello", "0190-id", way) for way in WAYS[:3]
    ]


def test_log_fields_that_a_handler_binds_are_not_bound_for_the_next_handler() -> None:
    def bind(_job: Job) -> dict[str, Any]:
        structlog.contextvars.bind_contextvars(customer="of the first job")
        return {}

    def bound(_job: Job) -> dict[str, Any]:
        return structlog.contextvars.get_contextvars()

    invoke(bind, job("x", {}))
    outcome = invoke(bound, job("y", {})).outcome

    assert isinstance(outcome, Succeeded)
    assert "customer" not in outcome.result
    assert outcome.result["type"] == "y"
    assert "job_id" not in structlog.contextvars.get_contextvars()
