"""Fixtures that make job processes cheap: their start takes the longest part of most tests here."""

import multiprocessing.spawn
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from worker_service.execution.executor import Executor


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


@pytest.fixture(scope="session")
async def shared() -> AsyncIterator[Executor]:
    """An executor with one process, for tests that leave it usable."""
    executor = Executor(threads=2, processes=1)
    yield executor
    await executor.close()
