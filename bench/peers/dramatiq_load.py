"""Submits messages to Dramatiq, waits for them and reads their results, with Dramatiq's own client."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import redis
from dramatiq.results import ResultMissing

from bench.load.latency import DEADLINE, in_threads
from bench.load.submitted import Submitted
from bench.peers.dramatiq_app import dramatiq_actor
from bench.results import Latency
from bench.work import text


class DramatiqLoad:
    """A PeerLoad. `broker` and `results` are URLs."""

    def __init__(self, broker: str, results: str) -> None:
        self._actor = dramatiq_actor(broker, results)
        self._backend = self._actor.broker.get_results_backend()
        self._messages: Sequence[tuple[str, Any]] = ()
        self._results = redis.Redis.from_url(results)

    def submit(self, first: int, jobs: int) -> Submitted:
        """Submits messages one by one, because Dramatiq's client has no batch call."""
        texts = [text(number) for number in range(first, first + jobs)]
        clock, cpu = time.perf_counter(), time.process_time()
        self._messages = [(each, self._actor.send(each)) for each in texts]
        return Submitted(jobs, time.perf_counter() - clock, time.process_time() - cpu)

    def stored(self) -> int:
        return int(self._results.dbsize())

    def read_back(self) -> Iterator[tuple[str, str]]:
        for job_text, message in self._messages:
            try:
                yield job_text, message.get_result(backend=self._backend)["hash"]
            except ResultMissing:
                yield job_text, "no result"

    def latency(self, first: int, jobs: int, rate: float) -> Latency:
        return in_threads(self._run, first, jobs, rate)

    def _run(self, job_text: str) -> str:
        """Redis tells the client of the result, so it need not ask again and again."""
        message = self._actor.send(job_text)
        result = message.get_result(backend=self._backend, block=True, timeout=DEADLINE * 1000)
        return str(result["hash"])
