"""A handler that runs for longer than it may is stopped, or abandoned, in each way of running, and harms no other job."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.unit.worker_service.execution.test_executor import DEADLINE, SPECS, WAYS, job, result_of
from tests.waiting import until
from worker_service.execution import executor as executor_module
from worker_service.execution.executor import Executor
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Reason, Succeeded

LONG = 3600.0
SHORT = 0.5


class Runs:
    """An executor with one place for each way of running, and the handlers that it has abandoned."""

    def __init__(self) -> None:
        self.executor = Executor(threads=1, processes=1)
        self.abandoned: list[asyncio.Future[Any]] = []

    def __call__(self, way: str, seconds: float | None, **payload: Any) -> asyncio.Task[Outcome]:
        run = self.executor.run(SPECS[way], job(way, payload), seconds=seconds, abandon=self.abandoned.append)
        return asyncio.create_task(run)


@pytest.fixture
async def run() -> AsyncIterator[Runs]:
    runs = Runs()
    yield runs
    await runs.executor.close()


def timeout_of(seconds: float) -> Failed:
    return Failed(Reason.TIMEOUT, f"the handler ran for longer than the job's timeout of {seconds:g} s")


@pytest.mark.parametrize("way", WAYS)
async def test_a_handler_within_its_time_is_not_disturbed(run: Runs, way: str) -> None:
    assert isinstance(await run(way, LONG), Succeeded)
    assert run.abandoned == []


async def test_an_async_handler_is_cancelled(run: Runs, tmp_path: Path) -> None:
    running = run("act-async", SHORT, forever=str(tmp_path / "runs"), then="value")

    assert await running == timeout_of(SHORT)
    assert not (tmp_path / "runs").exists()
    assert run.abandoned == []


async def test_a_result_that_comes_too_late_does_not_count(run: Runs, tmp_path: Path) -> None:
    assert await run("act-async", SHORT, swallow=str(tmp_path / "runs")) == timeout_of(SHORT)


async def test_an_async_handler_that_will_not_stop_is_abandoned(
    run: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "STOP_SECONDS", 0.05)

    assert await run("act-async", SHORT, ignore_until=str(tmp_path / "end")) == timeout_of(SHORT)

    [going_on] = run.abandoned
    assert not going_on.done()
    (tmp_path / "end").touch()
    await asyncio.wait_for(going_on, DEADLINE)


async def test_a_process_is_killed_and_its_place_is_free(run: Runs, tmp_path: Path) -> None:
    running = run("act-process", SHORT, hang=str(tmp_path / "pid"))

    assert await running == timeout_of(SHORT)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    assert run.abandoned == []
    assert isinstance(await run("act-process", None), Succeeded)


async def test_a_thread_is_abandoned_and_keeps_its_place_until_it_returns(run: Runs, tmp_path: Path) -> None:
    assert await run("act-thread", SHORT, wait_for=str(tmp_path / "end")) == timeout_of(SHORT)

    [going_on] = run.abandoned
    following = run("act-thread", None)
    done, _ = await asyncio.wait([going_on, following], timeout=0.05)
    assert not done
    (tmp_path / "end").touch()
    assert isinstance(await following, Succeeded)
    assert going_on.done()


@pytest.mark.parametrize("way", ["act-loop", "act-async"])
async def test_what_cannot_be_stopped_in_the_loop_fails_when_it_has_ended(
    run: Runs, tmp_path: Path, way: str
) -> None:
    (tmp_path / "end").touch()
    spec = SPECS[way]
    late = job(way, {"wait_for": str(tmp_path / "end"), "sleep": 0.02})

    assert await run.executor.run(spec, late, seconds=0.01) == timeout_of(0.01)
    assert isinstance(await run.executor.run(spec, late, seconds=LONG), Succeeded)


async def test_the_start_of_a_process_is_not_the_handler_s_time() -> None:
    executor = Executor(threads=1, processes=1, prepare_process=functools.partial(time.sleep, 2 * SHORT))

    outcome = await executor.run(SPECS["act-process"], job("act-process", {}), seconds=SHORT)

    assert isinstance(outcome, Succeeded)
    await executor.close()


@pytest.mark.parametrize("way", ["act-thread", "act-process"])
async def test_the_wait_for_a_place_is_not_the_handler_s_time(run: Runs, tmp_path: Path, way: str) -> None:
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


async def test_closing_interrupts_handlers_with_a_time_limit(run: Runs, tmp_path: Path) -> None:
    running = [
        run("act-async", LONG, forever=str(tmp_path / "async")),
        run("act-thread", LONG, wait_for=str(tmp_path / "end")),
        run("act-process", LONG, hang=str(tmp_path / "pid")),
    ]
    await until(lambda: (tmp_path / "async").exists() and (tmp_path / "pid").exists())
    await run.executor.close()

    assert await asyncio.gather(*running) == [Interrupted()] * 3
    (tmp_path / "end").touch()


async def test_a_handler_abandoned_by_a_cancellation_is_told_of(run: Runs, tmp_path: Path) -> None:
    running = run("act-thread", None, wait_for=str(tmp_path / "end"))
    begun: Callable[[], bool] = run.executor._threads._places.locked
    await until(begun)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    [going_on] = run.abandoned
    (tmp_path / "end").touch()
    assert isinstance((await going_on).outcome, Succeeded)
    assert result_of(await run("act-thread", None))
