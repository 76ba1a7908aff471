"""A Job is plain data that can be pickled and compared, and it tells its handler of a cancellation."""

import asyncio
import copy
import pickle
import threading
from dataclasses import FrozenInstanceError, asdict
from typing import Any

import pytest

from tests.unit.worker_service.execution.test_executor import SPECS
from tests.waiting import until
from worker_service import Job
from worker_service.execution.executor import Executor
from worker_service.execution.outcome import Failed
from worker_service.handler_api.handler import HandlerSpec
from worker_service.handler_api.job import mark_cancelled

JOB = Job("0190-id", "x", 2, {"a": [1]})


def test_a_cancelled_job_compares_and_is_pickled_like_any_job() -> None:
    job = Job("0190-id", "x", 2, {"a": [1]})
    mark_cancelled(job)

    assert job == JOB
    for twin in (pickle.loads(pickle.dumps(job)), copy.deepcopy(job)):  # noqa: S301 - made by this test
        assert twin == JOB
        assert not twin.cancelled()
    assert asdict(job) == {
        "id": "0190-id",
        "type": "x",
        "attempt": 2,
        "payload": {"a": [1]},
        "labels": {},
        "max_attempts": 0,
        "timeout": None,
    }
    assert repr(job) == (
        "Job(id='0190-id', type='x', attempt=2, payload={'a': [1]}, labels={}, max_attempts=0, timeout=None)"
    )
    with pytest.raises(FrozenInstanceError):
        job.id = "other"  # type: ignore[misc]


class Asking:
    """A handler whose thread asks until its job is cancelled."""

    def __init__(self) -> None:
        self.started, self.stopped = threading.Event(), threading.Event()

    def ask(self, job: Job) -> dict[str, Any]:
        self.started.set()
        while not job.cancelled():
            self.stopped.wait(0.01)
        self.stopped.set()
        return {}

    async def ask_in_thread(self, job: Job) -> dict[str, Any]:
        return await asyncio.to_thread(self.ask, job)


@pytest.mark.parametrize("way", ["thread", "loop"])
@pytest.mark.parametrize("how", ["cancel", "timeout", "close"])
async def test_a_thread_can_see_that_its_job_is_cancelled(way: str, how: str) -> None:
    executor, asking = Executor(threads=1, processes=1), Asking()
    spec = (
        HandlerSpec("x", asking.ask, "thread")
        if way == "thread"
        else HandlerSpec("x", asking.ask_in_thread, "loop")
    )
    running = asyncio.create_task(executor.run(spec, JOB, seconds=0.1 if how == "timeout" else None))
    await until(asking.started.is_set)
    match how:
        case "cancel":
            running.cancel()
        case "close":
            await executor.close()
    await asyncio.wait([running])
    await until(asking.stopped.is_set)
    await executor.close()


async def test_a_thread_that_cannot_be_started_fails_only_its_own_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executor = Executor(threads=1, processes=1)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        outcomes = [await executor.run(SPECS[way], JOB) for way in ("act-thread", "act-process")]

    for outcome in outcomes:
        assert isinstance(outcome, Failed)
        assert not outcome.permanent
        assert "no thread could be started" in outcome.message
    assert not isinstance(await executor.run(SPECS["act-thread"], JOB), Failed)
    await executor.close()
