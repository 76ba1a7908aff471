"""Fixtures that make job processes cheap: their start takes the longest part of most tests here."""

import multiprocessing.spawn
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from worker_service.execution import child
from worker_service.execution.executor import Executor

IMPORTED = ["worker_service.execution.child_process", "tests.unit.worker_service.sample_handlers"]


@pytest.fixture(scope="session", autouse=True)
def job_processes_without_pytest() -> Iterator[None]:
    """Job processes do not import pytest: a spawned process imports the main module again, and here that is
    pytest.
    """
    prepare = multiprocessing.spawn.get_preparation_data

    def without_main(name: str) -> dict[str, Any]:
        data = prepare(name)
        return {key: data[key] for key in data if not key.startswith("init_main_from_")}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing.spawn, "get_preparation_data", without_main)
        yield


@pytest.fixture(scope="module", autouse=True)
def forked_job_processes() -> Iterator[None]:
    """Job processes are forked from one that has imported what they need. That takes a tenth of the CPU time.

    Where the fact is how the worker starts a process or waits for its end, a test uses `spawned`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "_SPAWN", context)
        yield


@pytest.fixture
async def spawned(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Executor]:
    """An executor with one process. During the test, job processes are started as by a worker."""
    monkeypatch.setattr(child, "_SPAWN", multiprocessing.get_context("spawn"))
    executor = Executor(threads=1, processes=1)
    yield executor
    await executor.close()


@pytest.fixture(scope="session")
async def shared() -> AsyncIterator[Executor]:
    """An executor with one process, for tests that leave it usable."""
    executor = Executor(threads=2, processes=1)
    yield executor
    await executor.close()
