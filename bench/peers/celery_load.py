"""Submits tasks to Celery, waits for them and reads their results, with Celery's own client."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from celery import Celery

from bench.load.latency import DEADLINE, START, JobTookTooLong, latency, pause
from bench.load.submitted import Submitted
from bench.peers.celery_app import TASK
from bench.results import Latency
from bench.work import text

SUCCESS = "SUCCESS"
CLIENT_THREADS = 8


class CeleryLoad:
    """`ids` has the text of each task of the last `submit`, by task id."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._task = app.tasks[TASK]
        self.ids: Mapping[str, str] = {}

    def submit(self, first: int, jobs: int) -> Submitted:
        """Submits tasks one by one, because Celery's client has no batch call."""
        texts = [text(number) for number in range(first, first + jobs)]
        clock, cpu = time.perf_counter(), time.process_time()
        self.ids = {self._task.delay(each).id: each for each in texts}
        return Submitted(jobs, time.perf_counter() - clock, time.process_time() - cpu)

    def read_back(self) -> Iterator[tuple[str, str]]:
        """The text and the hash of each task of the last `submit`."""
        for task_id, task_text in self.ids.items():
            meta = self._app.backend.get_task_meta(task_id)
            yield task_text, meta["result"]["hash"] if meta["status"] == SUCCESS else meta["status"]

    def latency(self, first: int, jobs: int, rate: float) -> Latency:
        """Like grpc_latency. A thread waits for each task, because Celery's client is not asynchronous."""
        start = time.perf_counter() + START
        with ThreadPoolExecutor(CLIENT_THREADS) as threads:
            taken = threads.map(
                self._one, range(first, first + jobs), (start + nth / rate for nth in range(jobs))
            )
            return latency(list(taken))

    def _one(self, number: int, due: float) -> float:
        time.sleep(max(due - time.perf_counter(), 0))
        task_id = self._task.delay(text(number)).id
        while self._app.backend.get_task_meta(task_id, cache=False)["status"] != SUCCESS:
            if time.perf_counter() - due > DEADLINE:
                raise JobTookTooLong(task_id)
            time.sleep(pause(time.perf_counter() - due))
        return time.perf_counter() - due
