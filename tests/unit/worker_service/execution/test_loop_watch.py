"""When a blocked loop is logged, which handler is blamed, and when the loop is given up."""

import asyncio
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from worker_service import Job
from worker_service.execution.invoke import InvocationResult
from worker_service.execution.loop_watch import WARN_SECONDS, LoopStuck, watch_loop
from worker_service.execution.outcome import Failed
from worker_service.execution.running_handler import RunningHandler

LIMIT = 10.0


class Handler:
    """A RunningHandler."""

    def __init__(self) -> None:
        self.job = Job(id="blocker", type="x", attempt=1, payload={})
        self.failed: list[str] = []

    def exit(self, error: BaseException) -> None:
        raise AssertionError from error

    def fail(self, result: InvocationResult) -> bool:
        assert isinstance(result.outcome, Failed)
        self.failed.append(result.outcome.reason)
        return True


class FakeLoop:
    """A loop and a clock that the test moves."""

    def __init__(self) -> None:
        self.is_lost = self.is_given_up = False
        self.now = 0.0
        self.steps = 0
        self.handler: RunningHandler | None = None
        self.watching = asyncio.create_task(watch_loop(self, LIMIT, lambda: self.now, tick=0.0))

    def look(self) -> tuple[int, RunningHandler | None]:
        return self.steps, self.handler

    def stack(self) -> str:
        return "the stack"

    def give_up(self) -> None:
        self.is_given_up = True

    async def pass_time(self, seconds: float, *, steps: int = 0) -> None:
        """Move the clock in small ticks, as the watch does.

        `steps` is how many steps the loop makes in each.
        """
        for _ in range(round(seconds / 0.1)):
            self.now += 0.1
            self.steps += steps
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as logs:
        yield logs


async def test_a_slow_loop_is_left_alone(logs: list[EventDict]) -> None:
    loop = FakeLoop()
    for _ in range(100):
        await loop.pass_time(WARN_SECONDS - 0.2)
        await loop.pass_time(0.1, steps=1)

    assert logs == []
    assert not loop.watching.done()
    loop.watching.cancel()


async def test_a_handler_that_blocks_the_loop_is_logged_once_then_fails_then_the_loop_is_given_up(
    logs: list[EventDict],
) -> None:
    loop = FakeLoop()
    loop.handler = handler = Handler()
    await loop.pass_time(0.1, steps=1)
    await loop.pass_time(WARN_SECONDS - 0.2)
    assert logs == []
    await loop.pass_time(LIMIT - WARN_SECONDS - 0.2)
    assert [(line["event"], line["job_id"], line["stack"]) for line in logs] == [
        ("handler_loop_blocked", "blocker", "the stack")
    ]
    assert handler.failed == []
    await loop.pass_time(LIMIT)
    assert handler.failed == ["LOOP_BLOCKED"]
    assert not loop.watching.done()
    await loop.pass_time(1)
    assert loop.is_given_up
    with pytest.raises(LoopStuck):
        await loop.watching


async def test_the_next_block_of_a_loop_is_counted_from_zero(logs: list[EventDict]) -> None:
    loop = FakeLoop()
    for _ in range(3):
        loop.handler = handler = Handler()
        await loop.pass_time(LIMIT + 1)
        assert handler.failed == ["LOOP_BLOCKED"]
        await loop.pass_time(0.2, steps=1)

    assert [line["event"] for line in logs if line["log_level"] == "info"] == ["handler_loop_goes_on"] * 3
    loop.watching.cancel()


async def test_blocking_code_of_no_known_handler_is_logged_and_fails_no_job(logs: list[EventDict]) -> None:
    loop = FakeLoop()
    await loop.pass_time(LIMIT + 1)

    assert {line["event"] for line in logs} == {"handler_loop_blocked"}
    assert all("job_id" not in line for line in logs)
    loop.watching.cancel()


async def test_a_stopped_process_is_logged_and_its_handler_does_not_fail(
    logs: list[EventDict],
) -> None:
    loop = FakeLoop()
    loop.handler = handler = Handler()
    await loop.pass_time(0.2, steps=1)
    loop.now += 1000
    await loop.pass_time(0.1)

    assert handler.failed == []
    [line] = [line for line in logs if line["event"] == "worker_stood_still"]
    assert (line["seconds"], line["job_id"]) == (1000.1, "blocker")
    loop.watching.cancel()


async def test_a_lost_loop_ends_the_worker() -> None:
    loop = FakeLoop()
    await loop.pass_time(0.1, steps=1)
    loop.is_lost = True
    await loop.pass_time(0.1, steps=1)

    with pytest.raises(LoopStuck):
        await loop.watching
