"""Submits tasks to Taskiq, waits for them and reads their results, with Taskiq's own client."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import redis

from bench.load.callers import by_callers
from bench.load.grpc_load import parts
from bench.load.latency import DEADLINE, JobTookTooLong, in_tasks, pause
from bench.load.submitted import Submitted
from bench.peers.task import TASK
from bench.peers.taskiq_app import taskiq_broker
from bench.results import Latency
from bench.work import text

READS_AT_A_TIME = 64


class TaskiqLoad:
    """A PeerLoad. `broker` and `results` are URLs. `callers`: how many submit tasks at a time."""

    def __init__(self, broker: str, results: str, callers: int) -> None:
        self._urls = broker, results
        self._callers = callers
        self._submitted: dict[str, str] = {}
        """The id of each text's task."""
        self._results = redis.Redis.from_url(results)

    def submit(self, first: int, jobs: int) -> Submitted:
        """Many callers in one event loop, because the client is asynchronous."""
        self._submitted = {}
        return asyncio.run(self._submit(first, jobs))

    async def _submit(self, first: int, jobs: int) -> Submitted:
        async with self._client() as task:

            async def create(number: int) -> None:
                self._submitted[text(number)] = (await task.kiq(text(number))).task_id

            return await by_callers([create], first, jobs, self._callers)

    def stored(self) -> int:
        return int(self._results.dbsize())

    def read_back(self) -> Iterator[tuple[str, str]]:
        return iter(asyncio.run(self._read_back()))

    async def _read_back(self) -> list[tuple[str, str]]:
        found: list[Any] = []
        async with self._client() as task:
            backend = task.broker.result_backend
            for part in parts(list(self._submitted.values()), READS_AT_A_TIME):
                found += await asyncio.gather(*map(backend.get_result, part))
        hashes = [each.error or each.return_value["hash"] for each in found]
        return list(zip(self._submitted, map(str, hashes), strict=True))

    def latency(self, first: int, jobs: int, rate: float) -> Latency:
        return asyncio.run(self._latency(first, jobs, rate))

    async def _latency(self, first: int, jobs: int, rate: float) -> Latency:
        async with self._client() as task:
            return await in_tasks(lambda job_text: _run(task, job_text), first, jobs, rate)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Any]:
        """The task. Its connections belong to the event loop that runs."""
        broker = taskiq_broker(*self._urls)
        await broker.startup()
        try:
            yield broker.find_task(TASK)
        finally:
            await broker.shutdown()


async def _run(task: Any, job_text: str) -> str:
    """Reads the result every 2 ms. Taskiq's own `wait_result()` would read it every 200 ms."""
    begin = time.perf_counter()
    sent = await task.kiq(job_text)
    while True:
        if await sent.is_ready():
            done = await sent.get_result()
            return str(done.error or done.return_value["hash"])
        if time.perf_counter() - begin > DEADLINE:
            raise JobTookTooLong(sent.task_id)
        await asyncio.sleep(pause(time.perf_counter() - begin))
