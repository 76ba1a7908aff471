"""A steady load of different jobs, and readers that read them all the time."""

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from uuid_utils.compat import uuid7

from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import (
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
from tests.faults.kinds import KINDS, LABEL, request_for, requested_job
from tests.faults.settings import FaultSettings

CANCEL_REASON = "cancelled by the load"
WAIT_PAUSE = 0.1
AT_ONCE = 64
SIZES = (1, 1, 1, 1, 1, 1, 4)
"""How many jobs each call sends, in turn."""


class Load:
    """`run` is the label of the load's jobs."""

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
        """Send `count` jobs, `rate` per second, some in batches, and do what belongs to their kinds.

        Each job is sent on time, even if earlier calls are not answered yet.
        """
        begin = time.monotonic()
        kinds = itertools.islice(self._deck(), count)
        sizes = itertools.cycle(SIZES)
        number = 0
        async with asyncio.TaskGroup() as group:
            while names := list(itertools.islice(kinds, next(sizes))):
                await asyncio.sleep(begin + number / rate - time.monotonic())
                group.create_task(self.one(names[0]) if len(names) == 1 else self._batch(names))
                number += len(names)

    async def sent(self, count: int) -> None:
        """Wait until `count` jobs have been sent."""
        async with self._progress:
            await self._progress.wait_for(lambda: self.count_sent >= count)

    async def one(self, name: str) -> str:
        """Send one job of a kind and do what belongs to the kind. Returns the job's id."""
        request = await self._new_request(name)
        with suppress(Unanswered, Refused):
            await self._client.job(f"owner of {request.id}", "Create", request)
            await self._follow_up(request.id, name)
        return request.id

    async def many(self, name: str, count: int) -> None:
        """Send jobs of one kind, AT_ONCE at a time."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with gate:
                await self.one(name)

        await asyncio.gather(*(one() for _ in range(count)))

    async def ended(self, name: str) -> None:
        """Wait until all jobs of a kind that were sent so far are final. Raises Unanswered."""
        for job_id in [
            job_id for job_id, requested in self._witness.requested.items() if requested.kind == name
        ]:
            while not seen(
                await self._client.job(f"owner of {job_id}", "Get", GetRequest(id=job_id))
            ).is_final:
                await asyncio.sleep(WAIT_PAUSE)

    async def _batch(self, names: Sequence[str]) -> None:
        """Send several jobs in one call and do what belongs to their kinds."""
        requests = [await self._new_request(name) for name in names]
        with suppress(Unanswered, Refused):
            answer: BatchCreateResponse = await self._client.call(
                "BatchCreate", BatchCreateRequest(requests=requests)
            )
            async with asyncio.TaskGroup() as group:
                for request, name, outcome in zip(requests, names, answer.outcomes, strict=True):
                    if outcome.HasField("error"):
                        self._witness.troubles.append(f"BatchCreate refused a job: {outcome.error.message}")
                        continue
                    if not outcome.job.HasField("end_time"):  # answers of BatchCreate have no result
                        self._witness.observe(f"owner of {request.id}", [outcome.job])
                    group.create_task(self._follow_up(request.id, name))

    async def _new_request(self, name: str) -> CreateRequest:
        """Make the request for a job of a kind and record it as sent."""
        kind = KINDS[name]
        request = request_for(kind, str(uuid7()), self.run, str(self._ledger), time.time())
        self._witness.requested[request.id] = requested_job(name, kind, request)
        async with self._progress:
            self.count_sent += 1
            self._progress.notify_all()
        return request

    async def _follow_up(self, job_id: str, name: str) -> None:
        """What the client does with a job after Create was answered."""
        kind = KINDS[name]
        self._witness.update(job_id, acknowledged=True)
        with suppress(Unanswered, Refused):
            if kind.by_hand:
                await self._do_by_hand(job_id)
            if kind.cancel_after is not None:
                await asyncio.sleep(kind.cancel_after)
                await self._cancel(job_id)

    async def _do_by_hand(self, job_id: str) -> None:
        reader = f"owner of {job_id}"
        claim = UpdateStatusRequest(id=job_id, status=Job.Status.processing)
        await self._client.job(reader, "UpdateStatus", claim, key=f"claim {job_id}")
        completion = UpdateStatusRequest(id=job_id, status=Job.Status.completed)
        completion.result.update({"by": "hand"})
        await self._client.job(reader, "UpdateStatus", completion)

    async def _cancel(self, job_id: str) -> None:
        reader = f"owner of {job_id}"
        try:
            job = await self._client.job(reader, "Cancel", CancelRequest(id=job_id, reason=CANCEL_REASON))
        except Refused:
            # The job has ended, or an earlier Cancel, whose answer was lost, has cancelled it.
            job = await self._client.job(reader, "Get", GetRequest(id=job_id))
            if job.error.message != CANCEL_REASON:
                return
        self._witness.update(job_id, cancelled=seen(job))

    def _deck(self) -> "itertools.cycle[str]":
        """The kinds in their shares, shuffled. Each hundred jobs contain all kinds."""
        kinds = [name for name, kind in KINDS.items() for _ in range(kind.share)]
        self._chance.shuffle(kinds)
        return itertools.cycle(kinds)


class Readers:
    """Read the jobs of a run until cancelled. Each reader makes one call at a time."""

    def __init__(
        self, run: str, client: Client, witness: Witness, chance: random.Random, settings: FaultSettings
    ) -> None:
        self._run = run
        self._settings = settings
        self._client = client
        self._witness = witness
        self._chance = chance

    async def get(self, reader: str) -> None:
        """Read single jobs, the latest ones more often."""
        while True:
            await asyncio.sleep(self._settings.read_pause)
            ids = [job_id for job_id, requested in self._witness.requested.items() if requested.acknowledged]
            if ids:
                back = min(int(self._chance.expovariate(0.05)), len(ids) - 1)
                with suppress(Unanswered, Refused):
                    await self._client.job(reader, "Get", GetRequest(id=ids[-1 - back]))

    async def list(self, reader: str) -> None:
        """Read the whole list, page by page, again and again."""
        while True:
            with suppress(Unanswered, Refused):
                await self._list_once(reader)
            await asyncio.sleep(self._settings.list_pause)

    async def _list_once(self, reader: str) -> None:
        request = ListRequest(page_size=200, labels=[f"{LABEL}={self._run}"])
        while True:
            page: ListResponse = await self._client.call("List", request)
            self._witness.observe(reader, page.jobs)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
