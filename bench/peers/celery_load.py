"""Submits tasks to Celery, waits for them and reads their results, with Celery's own client."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo import MongoClient

from bench.load.latency import DEADLINE, JobTookTooLong, in_threads, pause
from bench.load.submitted import Submitted
from bench.peers.celery_app import celery_app
from bench.peers.task import TASK
from bench.results import Latency
from bench.work import text

SUCCESS = "SUCCESS"


class CeleryLoad:
    """A PeerLoad. `broker` and `results` are URLs."""

    def __init__(self, broker: str, results: str) -> None:
        self._app = celery_app(broker, results)
        self._task = self._app.tasks[TASK]
        self._ids: Mapping[str, str] = {}
        self._results = MongoClient[dict[str, Any]](results).get_default_database().celery_taskmeta

    def worker_answers(self) -> bool:
        return bool(self._app.control.ping(timeout=0.5))

    def submit(self, first: int, jobs: int) -> Submitted:
        """Submits tasks one by one, because Celery's client has no batch call."""
        texts = [text(number) for number in range(first, first + jobs)]
        clock, cpu = time.perf_counter(), time.process_time()
        self._ids = {self._task.delay(each).id: each for each in texts}
        return Submitted(jobs, time.perf_counter() - clock, time.process_time() - cpu)

    def stored(self) -> int:
        return self._results.estimated_document_count()

    def read_back(self) -> Iterator[tuple[str, str]]:
        for task_id, task_text in self._ids.items():
            meta = self._app.backend.get_task_meta(task_id)
            yield task_text, meta["result"]["hash"] if meta["status"] == SUCCESS else meta["status"]

    def latency(self, first: int, jobs: int, rate: float) -> Latency:
        return in_threads(self._run, first, jobs, rate)

    def _run(self, task_text: str) -> str:
        """Reads the result every 2 ms. Celery's own `get()` would read it every 500 ms from MongoDB."""
        begin = time.perf_counter()
        task_id = self._task.delay(task_text).id
        while (meta := self._app.backend.get_task_meta(task_id, cache=False))["status"] != SUCCESS:
            if time.perf_counter() - begin > DEADLINE:
                raise JobTookTooLong(task_id)
            time.sleep(pause(time.perf_counter() - begin))
        return str(meta["result"]["hash"])
