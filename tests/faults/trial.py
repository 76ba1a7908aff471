"""One run: a load, a scenario, and the check of the history afterwards."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pymongo.errors import PyMongoError

from job_client._gen.jobs.v1.job_pb2 import Attempt as AttemptMessage
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import GetRequest
from tests.faults.checker import Finding, check
from tests.faults.client import Client, Witness, canonical
from tests.faults.cluster import Cluster
from tests.faults.figures import Figures, figures
from tests.faults.history import Attempt, History, Seen, Stored
from tests.faults.ledger import read_runs
from tests.faults.load import Load, Readers
from tests.faults.settings import FaultSettings
from tests.faults.store import RunStore, run_store

LEDGER = "ledger"
PATIENCE = 60.0
POLL = 0.2
GETS_AT_ONCE = 16


@dataclass(frozen=True)
class Trial:
    """The tools of a scenario.

    `count`: the jobs of the load. The load begins when the scenario first waits for it. `sent_before`: the
    jobs that earlier scenarios of the same trial have sent. `bound`: seconds from the end of load and faults
    until all jobs must have ended.
    """

    cluster: Cluster
    load: Load
    store: RunStore
    settings: FaultSettings
    count: int
    bound: float
    folder: Path
    show: Callable[[str], None]
    """Prints a line of text."""
    sent_before: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def sent(self, share: float) -> None:
        """Wait until this share of the load, from 0 to 1, has been sent."""
        self.begun.set()
        await self.load.sent(self.sent_before + round(share * self.count))

    @property
    def all_are_sent(self) -> bool:
        return self.load.count_sent >= self.sent_before + self.count

    async def job_runs_on(self, worker: str) -> None:
        """Send long jobs until this worker runs one."""
        sent: set[str] = set()
        while not any(run.worker == worker and run.job_id in sent for run in read_runs(self.ledger)):
            sent.add(await self.load.one("long"))
            await asyncio.sleep(POLL)

    @property
    def ledger(self) -> Path:
        return self.folder / LEDGER

    async def all_ended(self) -> None:
        """Wait until all jobs of the run have ended, at most `bound` seconds.

        The checker finds unfinished jobs.
        """
        deadline = time.monotonic() + self.bound
        while time.monotonic() < deadline:
            with suppress(PyMongoError):
                if not await self.store.has_unfinished_jobs():
                    return
            await asyncio.sleep(POLL)

    @property
    def lease(self) -> float:
        return self.settings.lease


Scenario = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True)
class Result:
    history: History
    figures: Figures
    findings: list[Finding]


async def run_trial(
    cluster: Cluster,
    scenarios: Sequence[Scenario],
    settings: FaultSettings,
    folder: Path,
    show: Callable[[str], None],
    count: int,
    bound: float,
) -> Result:
    """Run scenarios one after the other, each under a load of `count` jobs, and check the history.

    All parts are healed after each scenario. The check follows when all jobs have ended.
    """
    witness, chance = Witness(), random.Random(settings.seed)  # noqa: S311 - keeps no secret
    run, ledger = f"{scenarios[0].__name__}-{time.time_ns()}", folder / LEDGER
    stack = cluster.stack
    await cluster.heal()
    async with AsyncExitStack() as opened:
        client = Client(stack.endpoints.jobs_address, witness, PATIENCE)
        opened.push_async_callback(client.close)
        direct = Client(stack.address("api_server", 2), witness, 0.0)
        opened.push_async_callback(direct.close)
        store = await opened.enter_async_context(run_store(stack.settings, run))
        opened.push_async_callback(store.delete_unfinished)
        load = Load(run, ledger, client, witness, chance)
        readers = Readers(run, client, witness, chance, settings)
        direct_readers = Readers(run, direct, witness, chance, settings)
        reads = _reads(readers, direct_readers)
        background = [asyncio.create_task(task) for task in (*reads, cluster.supervise())]
        opened.push_async_callback(_cancel, background)
        trial = Trial(cluster, load, store, settings, count, bound, folder, show)
        for scenario in scenarios:
            part = replace(trial, sent_before=load.count_sent, begun=asyncio.Event())
            await _act_under_load(part, scenario)
        await trial.all_ended()
        stored = await _stored(store, client)
    history = _history(witness, ledger, stored, cluster)
    return Result(history, figures(history), check(history))


def _history(witness: Witness, ledger: Path, stored: Mapping[str, Stored], cluster: Cluster) -> History:
    return History(
        witness.requested,
        witness.observations,
        read_runs(ledger),
        stored,
        cluster.faults,
        cluster.stops,
        [*witness.troubles, *cluster.troubles],
    )


def _reads(readers: Readers, direct_readers: Readers) -> list[Coroutine[Any, Any, None]]:
    return [readers.get("reader 1"), direct_readers.get("reader 2"), readers.list("reader 3")]


async def _act_under_load(trial: Trial, scenario: Scenario) -> None:
    loading = asyncio.create_task(_load(trial))
    try:
        await scenario(trial)
        trial.begun.set()
        await trial.cluster.heal()
        await loading
    finally:
        loading.cancel()
        await asyncio.wait([loading])
        await trial.cluster.heal()


async def _load(trial: Trial) -> None:
    await trial.begun.wait()
    await trial.load.steady(trial.count, trial.settings.rate)


async def _stored(store: RunStore, client: Client) -> Mapping[str, Stored]:
    """All jobs of the run from MongoDB, with their attempts from the API."""
    documents = await store.documents()
    gate = asyncio.Semaphore(GETS_AT_ONCE)

    async def get(job_id: str) -> Job:
        async with gate:
            return await client.job("final reader", "Get", GetRequest(id=job_id))

    jobs = await asyncio.gather(*(get(str(document["_id"])) for document in documents))
    return {job.id: to_stored(document, job) for document, job in zip(documents, jobs, strict=True)}


def to_stored(document: Mapping[str, Any], job: Job) -> Stored:
    result = document.get("result")
    seen = Seen(
        str(document["_id"]),
        document["status"],
        document["attempt"],
        document["revision"],
        document.get("worker_id", ""),
        canonical(result) if result is not None else None,
        document.get("error", {}).get("reason", ""),
    )
    end_time = document.get("end_time")
    return Stored(
        seen,
        create_time=document["create_time"].timestamp(),
        end_time=end_time.timestamp() if end_time else None,
        failures=job.failures,
        losses=job.losses,
        attempts=tuple(_attempt(entry) for entry in job.history),
    )


def _attempt(entry: AttemptMessage) -> Attempt:
    return Attempt(
        entry.attempt,
        entry.worker_id,
        entry.start_time.ToMilliseconds() / 1000,
        entry.end_time.ToMilliseconds() / 1000 if entry.HasField("end_time") else None,
        AttemptMessage.Outcome.Name(entry.outcome),
    )


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error
