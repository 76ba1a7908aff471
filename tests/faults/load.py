"""A steady load of mixed jobs, and readers who look at them all the while."""

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from uuid_utils.compat import uuid7

from jobs.v1.job_pb2 import Job
from jobs.v1.job_service_pb2 import (
    BatchCreateRequest,
    BatchCreateResponse,
    CancelRequest,
    CreateRequest,
    GetRequest,
    ListRequest,
    ListResponse,
    UpdateStatusRequest,
)
from tests.faults.client import Client, Refused, Unanswered, Witness, seen
from tests.faults.kinds import KINDS, LABEL, asked_for, request_for

CANCEL_REASON = "cancelled by the load"
READ_PAUSE = 0.02
LIST_PAUSE = 0.25
WAIT_PAUSE = 0.1
AT_ONCE = 64
SIZES = (1, 1, 1, 1, 1, 1, 4)
"""Of what is sent at a time, in turn: single jobs and batches."""


class Load:
    """`run` names it: the label of its jobs."""

    def __init__(
        self, run: str, ledger: Path, client: Client, witness: Witness, chance: random.Random
    ) -> None:
        self.run = run
        self._ledger = ledger
        self._client = client
        self._witness = witness
        self._chance = chance
        self.count_sent = 0
        self._progress = asyncio.Condition()

    async def steady(self, count: int, rate: float) -> None:
        """Send `count` jobs, `rate` a second, some of them in batches, and see each through; whatever is in the way, the
        next one comes in time.
        """
        begin = time.monotonic()
        cards = itertools.islice(self._deck(), count)
        sizes = itertools.cycle(SIZES)
        number = 0
        async with asyncio.TaskGroup() as group:
            while names := list(itertools.islice(cards, next(sizes))):
                await asyncio.sleep(begin + number / rate - time.monotonic())
                group.create_task(self.one(names[0]) if len(names) == 1 else self._batch(names))
                number += len(names)

    async def sent(self, count: int) -> None:
        """Wait until so many jobs have been sent."""
        async with self._progress:
            await self._progress.wait_for(lambda: self.count_sent >= count)

    async def one(self, name: str) -> str:
        """Send one job of a kind, and do with it what belongs to the kind; its id."""
        request = await self._wanted(name)
        with suppress(Unanswered, Refused):
            await self._client.job(f"owner of {request.id}", "Create", request)
            await self._see_through(request.id, name)
        return request.id

    async def many(self, name: str, count: int) -> None:
        """Send jobs of one kind as fast as they are taken."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with gate:
                await self.one(name)

        await asyncio.gather(*(one() for _ in range(count)))

    async def ended(self, name: str) -> None:
        """Wait until all jobs of a kind that were sent so far are final. Raises Unanswered."""
        for job_id in [job_id for job_id, asked in self._witness.asked.items() if asked.kind == name]:
            while not seen(
                await self._client.job(f"owner of {job_id}", "Get", GetRequest(id=job_id))
            ).is_final:
                await asyncio.sleep(WAIT_PAUSE)

    async def _batch(self, names: Sequence[str]) -> None:
        """Send several jobs in one call, and see each through."""
        requests = [await self._wanted(name) for name in names]
        with suppress(Unanswered, Refused):
            answer: BatchCreateResponse = await self._client.call(
                "BatchCreate", BatchCreateRequest(requests=requests)
            )
            async with asyncio.TaskGroup() as group:
                for request, name, outcome in zip(requests, names, answer.outcomes, strict=True):
                    if outcome.HasField("error"):
                        self._witness.troubles.append(f"BatchCreate refused a job: {outcome.error.message}")
                        continue
                    if not outcome.job.HasField("end_time"):  # such an answer leaves out the result
                        self._witness.hear(f"owner of {request.id}", [outcome.job])
                    group.create_task(self._see_through(request.id, name))

    async def _wanted(self, name: str) -> CreateRequest:
        """A job of a kind, noted as sent."""
        kind = KINDS[name]
        request = request_for(kind, str(uuid7()), self.run, str(self._ledger), time.time())
        self._witness.asked[request.id] = asked_for(name, kind, request)
        async with self._progress:
            self.count_sent += 1
            self._progress.notify_all()
        return request

    async def _see_through(self, job_id: str, name: str) -> None:
        """Once it is acknowledged: what its client does with it."""
        kind = KINDS[name]
        self._witness.learn(job_id, acknowledged=True)
        with suppress(Unanswered, Refused):
            if kind.by_hand:
                await self._do_by_hand(job_id)
            if kind.cancel_after is not None:
                await asyncio.sleep(kind.cancel_after)
                await self._cancel(job_id)

    async def _do_by_hand(self, job_id: str) -> None:
        reader = f"owner of {job_id}"
        take = UpdateStatusRequest(id=job_id, status=Job.Status.processing)
        await self._client.job(reader, "UpdateStatus", take, key=f"take {job_id}")
        conclude = UpdateStatusRequest(id=job_id, status=Job.Status.completed)
        conclude.result.update({"by": "hand"})
        await self._client.job(reader, "UpdateStatus", conclude)

    async def _cancel(self, job_id: str) -> None:
        reader = f"owner of {job_id}"
        try:
            job = await self._client.job(reader, "Cancel", CancelRequest(id=job_id, reason=CANCEL_REASON))
        except Refused:
            # It has ended. Or an earlier sending, whose answer was lost, has cancelled it.
            job = await self._client.job(reader, "Get", GetRequest(id=job_id))
            if job.error.message != CANCEL_REASON:
                return
        self._witness.learn(job_id, cancelled=seen(job))

    def _deck(self) -> "itertools.cycle[str]":
        """Kinds in their shares, shuffled: each hundred jobs has all of them."""
        cards = [name for name, kind in KINDS.items() for _ in range(kind.share)]
        self._chance.shuffle(cards)
        return itertools.cycle(cards)


class Readers:
    """Look at the jobs of a run until cancelled, one call at a time each."""

    def __init__(self, run: str, client: Client, witness: Witness, chance: random.Random) -> None:
        self._run = run
        self._client = client
        self._witness = witness
        self._chance = chance

    async def get(self, reader: str) -> None:
        """One job after another, the latest ones more often."""
        while True:
            await asyncio.sleep(READ_PAUSE)
            ids = [job_id for job_id, asked in self._witness.asked.items() if asked.acknowledged]
            if ids:
                back = min(int(self._chance.expovariate(0.05)), len(ids) - 1)
                with suppress(Unanswered, Refused):
                    await self._client.job(reader, "Get", GetRequest(id=ids[-1 - back]))

    async def list(self, reader: str) -> None:
        """The whole list, page by page, again and again."""
        while True:
            with suppress(Unanswered, Refused):
                await self._list_once(reader)
            await asyncio.sleep(LIST_PAUSE)

    async def _list_once(self, reader: str) -> None:
        request = ListRequest(page_size=200, labels=[f"{LABEL}={self._run}"])
        while True:
            page: ListResponse = await self._client.call("List", request)
            self._witness.hear(reader, page.jobs)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
