"""A handler that runs for too long is stopped or left running, in each place, and affects no other job."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.unit.worker_service.execution.test_executor import DEADLINE, SPECS, WAYS, job, result_of
from tests.unit.worker_service.recording_listener import RecordingListener
from tests.waiting import until
from worker_service.execution import executor as executor_module
from worker_service.execution.executor import Executor
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Reason, Succeeded

LONG = 3600.0
SHORT = 0.5


class Runs:
    """Runs jobs in an executor with one slot for each kind of place."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.listener = RecordingListener()

    def __call__(self, way: str, seconds: float | None, **payload: Any) -> asyncio.Task[Outcome]:
        run = self.executor.run(SPECS[way], job(way, payload), seconds=seconds, listener=self.listener)
        return asyncio.create_task(run)


@pytest.fixture(scope="module")
async def one_slot() -> AsyncIterator[Executor]:
    executor = Executor(threads=1, processes=1)
    yield executor
    await executor.close()


@pytest.fixture
def run(one_slot: Executor) -> Runs:
    return Runs(one_slot)


def timeout_of(seconds: float) -> Failed:
    return Failed(Reason.TIMEOUT, f"the handler ran for longer than the job's timeout of {seconds:g} s")


@pytest.mark.parametrize("way", WAYS)
async def test_a_handler_within_its_time_is_not_disturbed(run: Runs, way: str) -> None:
    assert isinstance(await run(way, LONG), Succeeded)
    assert run.listener.left_running == []


async def test_an_async_handler_is_cancelled(run: Runs, tmp_path: Path) -> None:
    running = run("act-async", SHORT, forever=str(tmp_path / "runs"), then="value")

    assert await running == timeout_of(SHORT)
    assert not (tmp_path / "runs").exists()
    assert run.listener.left_running == []


async def test_a_result_that_comes_too_late_does_not_count(run: Runs, tmp_path: Path) -> None:
    assert await run("act-async", SHORT, swallow=str(tmp_path / "runs")) == timeout_of(SHORT)


async def test_an_async_handler_that_does_not_stop_is_left_running(
    run: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "STOP_SECONDS", 0.05)

    assert await run("act-async", SHORT, ignore_until=str(tmp_path / "end")) == timeout_of(SHORT)

    [handler] = run.listener.left_running
    assert not handler.done()
    (tmp_path / "end").touch()
    await asyncio.wait_for(handler, DEADLINE)


async def test_a_process_is_killed_and_its_slot_is_free(run: Runs, tmp_path: Path) -> None:
    running = run("act-process", SHORT, hang=str(tmp_path / "pid"))

    assert await running == timeout_of(SHORT)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    assert run.listener.left_running == []
    assert isinstance(await run("act-process", None), Succeeded)


async def test_a_thread_is_left_running_and_keeps_its_slot_until_it_returns(
    run: Runs, tmp_path: Path
) -> None:
    assert await run("act-thread", SHORT, wait_for=str(tmp_path / "end")) == timeout_of(SHORT)

    [handler] = run.listener.left_running
    following = run("act-thread", None)
    done, _ = await asyncio.wait([handler, following], timeout=0.05)
    assert not done
    (tmp_path / "end").touch()
    assert isinstance(await following, Succeeded)
    assert handler.done()


@pytest.mark.parametrize("way", ["act-loop", "act-async"])
async def test_a_handler_that_blocks_the_loop_for_too_long_fails_when_it_ends(
    run: Runs, tmp_path: Path, way: str
) -> None:
    (tmp_path / "end").touch()
    spec = SPECS[way]
    late = job(way, {"wait_for": str(tmp_path / "end"), "sleep": 0.02})

    assert await run.executor.run(spec, late, seconds=0.01) == timeout_of(0.01)
    assert isinstance(await run.executor.run(spec, late, seconds=LONG), Succeeded)


async def test_the_start_of_a_process_does_not_count() -> None:
    executor = Executor(threads=1, processes=1, prepare_process=functools.partial(time.sleep, 2 * SHORT))

    outcome = await executor.run(SPECS["act-process"], job("act-process", {}), seconds=SHORT)

    assert isinstance(outcome, Succeeded)
    await executor.close()


@pytest.mark.parametrize("way", ["act-thread", "act-process"])
async def test_the_wait_for_a_slot_does_not_count(run: Runs, tmp_path: Path, way: str) -> None:
    before = run(way, None, wait_for=str(tmp_path / "end"))
    waiting = run(way, SHORT)
    done, _ = await asyncio.wait([waiting], timeout=1.5 * SHORT)
    assert not done
    (tmp_path / "end").touch()

    assert isinstance(await waiting, Succeeded)
    assert isinstance(await before, Succeeded)


@pytest.mark.parametrize("payload", ["forever", "hang"])
async def test_a_handler_with_a_time_limit_can_be_cancelled(run: Runs, tmp_path: Path, payload: str) -> None:
    way = "act-async" if payload == "forever" else "act-process"
    running = run(way, LONG, **{payload: str(tmp_path / "runs")})
    await until((tmp_path / "runs").exists)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


async def test_closing_interrupts_handlers_with_a_time_limit(tmp_path: Path) -> None:
    run = Runs(Executor(threads=1, processes=1))
    running = [
        run("act-async", LONG, forever=str(tmp_path / "async")),
        run("act-thread", LONG, wait_for=str(tmp_path / "end")),
        run("act-process", LONG, hang=str(tmp_path / "pid")),
    ]
    await until(lambda: (tmp_path / "async").exists() and (tmp_path / "pid").exists())
    await run.executor.close()

    assert await asyncio.gather(*running) == [Interrupted()] * 3
    (tmp_path / "end").touch()


async def test_a_cancelled_thread_is_reported_as_left_running(run: Runs, tmp_path: Path) -> None:
    running = run("act-thread", None, wait_for=str(tmp_path / "end"))
    started: Callable[[], bool] = run.executor._threads._slots.locked
    await until(started)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    [handler] = run.listener.left_running
    (tmp_path / "end").touch()
    assert isinstance((await handler).outcome, Succeeded)
    assert result_of(await run("act-thread", None))
