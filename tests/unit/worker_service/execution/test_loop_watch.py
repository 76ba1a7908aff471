"""When a loop that does not go on is told of, who is to blame, and when it is given up."""

import asyncio
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from worker_service import Job
from worker_service.execution.handler_loop import Guest
from worker_service.execution.invoke import Ended
from worker_service.execution.loop_watch import WARN_SECONDS, LoopStuck, watch_loop
from worker_service.execution.outcome import Failed

LIMIT = 10.0


class Handler:
    """A guest of the loop."""

    def __init__(self) -> None:
        self.job = Job(id="guilty", type="x", attempt=1, payload={})
        self.failed: list[str] = []

    def exit(self, error: BaseException) -> None:
        raise AssertionError from error

    def fail(self, ended: Ended) -> bool:
        assert isinstance(ended.outcome, Failed)
        self.failed.append(ended.outcome.reason)
        return True


class World:
    """A loop and a clock that go on when they are told to."""

    def __init__(self) -> None:
        self.is_lost = self.is_given_up = False
        self.now = 0.0
        self.steps = 0
        self.guest: Guest | None = None
        self.watching = asyncio.create_task(watch_loop(self, LIMIT, lambda: self.now, tick=0.0))

    def look(self) -> tuple[int, Guest | None]:
        return self.steps, self.guest

    def stack(self) -> str:
        return "the stack"

    def give_up(self) -> None:
        self.is_given_up = True

    async def pass_time(self, seconds: float, *, steps: int = 0) -> None:
        """In small ticks, as the watch's own are."""
        for _ in range(round(seconds / 0.1)):
            self.now += 0.1
            self.steps += steps
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as logs:
        yield logs


async def test_a_loop_that_goes_on_is_left_alone_however_slow_it_is(logs: list[EventDict]) -> None:
    world = World()
    for _ in range(100):
        await world.pass_time(WARN_SECONDS - 0.2)
        await world.pass_time(0.1, steps=1)

    assert logs == []
    assert not world.watching.done()
    world.watching.cancel()


async def test_a_handler_that_holds_the_loop_up_is_told_of_once_then_fails_then_the_loop_is_given_up(
    logs: list[EventDict],
) -> None:
    world = World()
    world.guest = handler = Handler()
    await world.pass_time(0.1, steps=1)
    await world.pass_time(WARN_SECONDS - 0.2)
    assert logs == []
    await world.pass_time(LIMIT - WARN_SECONDS - 0.2)
    assert [(line["event"], line["job_id"], line["stack"]) for line in logs] == [
        ("handler_loop_blocked", "guilty", "the stack")
    ]
    assert handler.failed == []
    await world.pass_time(LIMIT)
    assert handler.failed == ["LOOP_BLOCKED"]
    assert not world.watching.done()
    await world.pass_time(1)
    assert world.is_given_up
    with pytest.raises(LoopStuck):
        await world.watching


async def test_a_loop_that_goes_on_after_all_begins_anew(logs: list[EventDict]) -> None:
    world = World()
    for _ in range(3):
        world.guest = handler = Handler()
        await world.pass_time(LIMIT + 1)
        assert handler.failed == ["LOOP_BLOCKED"]
        await world.pass_time(0.2, steps=1)

    assert [line["event"] for line in logs if line["log_level"] == "info"] == ["handler_loop_goes_on"] * 3
    world.watching.cancel()


async def test_code_that_is_nobody_s_is_told_of_and_fails_no_job(logs: list[EventDict]) -> None:
    world = World()
    await world.pass_time(LIMIT + 1)

    assert {line["event"] for line in logs} == {"handler_loop_blocked"}
    assert all("job_id" not in line for line in logs)
    world.watching.cancel()


async def test_a_process_that_was_stopped_has_stood_still_and_its_handler_has_not(
    logs: list[EventDict],
) -> None:
    world = World()
    world.guest = handler = Handler()
    await world.pass_time(0.2, steps=1)
    world.now += 1000
    await world.pass_time(0.1)

    assert handler.failed == []
    [told] = [line for line in logs if line["event"] == "worker_stood_still"]
    assert (told["seconds"], told["job_id"]) == (1000.1, "guilty")
    world.watching.cancel()


async def test_a_lost_loop_ends_the_worker() -> None:
    world = World()
    await world.pass_time(0.1, steps=1)
    world.is_lost = True
    await world.pass_time(0.1, steps=1)

    with pytest.raises(LoopStuck):
        await world.watching
