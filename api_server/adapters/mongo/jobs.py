"""Jobs in MongoDB: the JobStore."""

import asyncio
from collections.abc import Collection as Group
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from api_server.adapters.mongo.client import (
    DUPLICATE_KEY,
    RAW_CODEC,
    READ_SECONDS,
    Collection,
    Document,
    within,
)
from api_server.adapters.mongo.deletion import delete_ended
from api_server.adapters.mongo.document_parts import to_tries
from api_server.adapters.mongo.documents import LARGE, decode_job, decode_jobs, to_document
from api_server.adapters.mongo.expiry import release_all
from api_server.adapters.mongo.listing import count_jobs, read_by_ids, read_page
from api_server.adapters.mongo.plan import EncodedTransition, Statement, encode, plan, write_of_one
from api_server.adapters.mongo.reads import Reads
from api_server.adapters.mongo.writes import Writes, pauses, resend
from api_server.domain.errors import JobIdTaken
from api_server.domain.job import Job, ProgressNote, Status
from api_server.domain.listing import JobCount, JobFilter, JobPage, PageRequest, View
from api_server.domain.resolution import Applied, Eligible, Resolution, resolve
from api_server.domain.retry import Tries
from api_server.domain.transition import Transition
from api_server.ports import EndedLeases, Outcome
from contract_runtime.errors import InvalidArgument

MAX_BYTES = 8 * 1024 * 1024
"""How much one BatchGet reads, as stored: twice the limit of an answer, because some JSON is smaller as
protobuf.
"""


class MongoJobStore:
    """See api_server.ports.JobStore."""

    def __init__(self, jobs: Collection, reads: Reads, writes: Writes) -> None:
        self._jobs = jobs
        self._reads = reads
        self._undecoded = jobs.with_options(codec_options=RAW_CODEC)
        # The jobs as the primary has them, including writes that a majority does not have yet.
        self._latest = jobs.with_options(read_concern=ReadConcern("local"))
        self._writes = writes

    async def insert_all(
        self, jobs: Sequence[tuple[Job, datetime]]
    ) -> list[Job | JobIdTaken | InvalidArgument]:
        outcomes: dict[UUID, Job | JobIdTaken | InvalidArgument] = {}
        documents: dict[UUID, Document] = {}
        for job, due_time in jobs:
            try:
                documents[job.id] = to_document(job, due_time)
            except InvalidArgument as error:
                outcomes[job.id] = error
        if documents:
            by_id = {job.id: job for job, _ in jobs}
            outcomes |= await self._writes.run(partial(self._insert, by_id, documents))
        return [outcomes[job.id] for job, _ in jobs]

    async def get_all(self, job_ids: Sequence[UUID], view: View = View.FULL) -> list[Job | None]:
        documents = await self._reads.run(lambda: read_by_ids(self._jobs, job_ids, view, MAX_BYTES))
        found = {job.id: job for job in await decode_jobs(documents)}
        return [found.get(job_id) for job_id in job_ids]

    async def sizes(self, job_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        where, size = {"_id": {"$in": list(job_ids)}}, {"size": {"$bsonSize": "$$ROOT"}}
        async with within(READ_SECONDS):
            return {document["_id"]: document["size"] async for document in self._jobs.find(where, size)}

    async def apply(self, transitions: Sequence[Transition], wanted: Group[UUID] = ()) -> list[Outcome]:
        encoded: list[EncodedTransition] = []
        outcomes: dict[UUID, Outcome] = {}
        for transition in transitions:
            try:
                encoded.append(encode(transition))
            except InvalidArgument as error:
                outcomes[transition.job_id] = error
        outcomes |= await self._writes.run(partial(self._apply_all, encoded, wanted))
        return [outcomes[transition.job_id] for transition in transitions]

    async def summaries(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Job]:
        async def read() -> dict[UUID, Job]:
            cursor = self._undecoded.find({"_id": {"$in": list(job_ids)}}, dict.fromkeys(LARGE, 0))
            return {job.id: job for job in [decode_job(document) async for document in cursor]}

        return await self._reads.run(read)

    async def tries(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Tries]:
        wanted = {"failures": 1, "retry_policy": 1}
        async with within(READ_SECONDS):
            cursor = self._latest.find({"_id": {"$in": list(job_ids)}}, wanted)
            return {document["_id"]: to_tries(document) async for document in cursor}

    async def delete(self, job_id: UUID) -> bool:
        return await self._writes.run(partial(delete_ended, self._jobs, self._reads, job_id))

    async def page(self, wanted: JobFilter, page: PageRequest) -> JobPage:
        found = await self._reads.run(lambda: read_page(self._jobs, wanted, page))
        return JobPage(await decode_jobs(found.documents), found.next_after)

    async def count(self, wanted: JobFilter) -> JobCount:
        return await self._reads.run(lambda: count_jobs(self._jobs, wanted))

    async def move_leases(
        self, worker_id: str, job_ids: Sequence[UUID], now: datetime, lease_seconds: float
    ) -> None:
        lease = timedelta(seconds=lease_seconds)
        held = {
            "_id": {"$in": list(job_ids)},
            "status": Status.PROCESSING.value,
            "worker_id": worker_id,
            "due_time": {"$lt": now + lease / 2},
        }
        move = {"$set": {"due_time": now + lease}}

        async def write() -> None:
            await resend(lambda: self._jobs.update_many(held, move, hint=[("_id", 1)]))

        if job_ids:
            await self._writes.run(write)

    async def still_held(self, worker_id: str, job_ids: Sequence[UUID]) -> set[UUID]:
        held = {
            "_id": {"$in": list(job_ids)},
            "status": Status.PROCESSING.value,
            "worker_id": worker_id,
        }
        async with within(READ_SECONDS):
            cursor = self._latest.find(held, {"_id": 1}).hint([("_id", 1)])
            return {document["_id"] async for document in cursor}

    async def note_progress(self, worker_id: str, notes: Sequence[ProgressNote], now: datetime) -> None:
        updates = [
            UpdateOne(
                {
                    "_id": note.job_id,
                    "status": Status.PROCESSING.value,
                    "worker_id": worker_id,
                    "attempt": note.attempt,
                    # It has no effect if it is sent again, or after a later heartbeat.
                    "progress.time": {"$not": {"$gte": now}},
                },
                {
                    "$set": {
                        "progress": {"percent": note.percent, "message": note.message, "time": now},
                        "update_time": now,
                    },
                    "$inc": {"revision": 1},
                },
            )
            for note in notes
        ]

        async def write() -> None:
            await resend(lambda: self._jobs.bulk_write(updates, ordered=False))

        if updates:
            await self._writes.run(write)

    async def release_all(self, worker_id: str, now: datetime) -> EndedLeases:
        return await release_all(self._jobs, self._writes, worker_id, now)

    async def _insert(
        self, jobs: Mapping[UUID, Job], documents: Mapping[UUID, Document]
    ) -> Mapping[UUID, Job | JobIdTaken]:
        """Insert all `documents` by one statement, then read back those whose ids existed already."""
        outcomes: dict[UUID, Job | JobIdTaken] = {}
        for pause in pauses():
            existing = await resend(partial(self._insert_once, documents))
            outcomes |= {job_id: jobs[job_id] for job_id in documents if job_id not in existing}
            if existing:
                outcomes |= await resend(
                    partial(self._reads.up_to_date, partial(self._compare, existing, jobs))
                )
            # Those not found are stored, but a majority does not have them yet.
            documents = {job_id: each for job_id, each in documents.items() if job_id not in outcomes}
            if not documents:
                break
            await asyncio.sleep(pause)
        return outcomes

    async def _insert_once(self, documents: Mapping[UUID, Document]) -> set[UUID]:
        """The ids that existed already."""
        try:
            await self._jobs.insert_many(list(documents.values()), ordered=False)
        except BulkWriteError as error:
            failures = error.details["writeErrors"]
            if (
                any(failure["code"] != DUPLICATE_KEY for failure in failures)
                or error.details["writeConcernErrors"]
            ):
                raise
            job_ids = list(documents)
            return {job_ids[failure["index"]] for failure in failures}
        return set()

    async def _compare(self, job_ids: Group[UUID], jobs: Mapping[UUID, Job]) -> dict[UUID, Job | JobIdTaken]:
        """The stored job for each id, or JobIdTaken if it was created by a different request.

        Each document is dropped as soon as it is compared, because it may be large.
        """
        outcomes: dict[UUID, Job | JobIdTaken] = {}
        async for document in self._undecoded.find(
            {"_id": {"$in": list(job_ids)}}, {"result": 0, "history": 0}
        ):
            job = decode_job(document)
            outcomes[job.id] = job if job.same_request(jobs[job.id]) else JobIdTaken(job.id)
        return outcomes

    async def _apply_all(
        self, encoded: Sequence[EncodedTransition], wanted: Group[UUID]
    ) -> Mapping[UUID, Outcome]:
        """Send the transitions, and send again those that are still eligible, until each has an outcome."""
        outcomes: dict[UUID, Outcome] = {}
        for pause in pauses():
            eligible: list[EncodedTransition] = []
            for statement, resolutions in await self._send_all(plan(encoded), wanted):
                for each in statement.transitions:
                    match resolutions[each.transition.job_id]:
                        case Eligible():
                            eligible.append(each)
                        case outcome:
                            outcomes[each.transition.job_id] = outcome
            encoded = eligible
            if not encoded:
                break
            await asyncio.sleep(pause)
        return outcomes

    async def _send_all(
        self, statements: Sequence[Statement], wanted: Group[UUID]
    ) -> list[tuple[Statement, Mapping[UUID, Resolution]]]:
        resolutions = await asyncio.gather(*(self._send(statement, wanted) for statement in statements))
        return list(zip(statements, resolutions, strict=True))

    async def _send(self, statement: Statement, wanted: Group[UUID]) -> Mapping[UUID, Resolution]:
        """The resolution of each transition.

        If all matched, all were applied; otherwise the jobs are read.
        """
        first, *others = statement.transitions
        if not others and first.transition.job_id in wanted:
            return await self._send_one(first)
        answer = await resend(lambda: self._jobs.bulk_write(statement.writes, ordered=False))
        transitions = [each.transition for each in statement.transitions]
        if answer.matched_count == len(transitions):
            return {each.job_id: Applied(each.change.status, each.attempt_after) for each in transitions}
        return await resend(partial(self._reads.up_to_date, partial(self._read_back, transitions)))

    async def _send_one(self, encoded: EncodedTransition) -> Mapping[UUID, Resolution]:
        """As `_send`, for one transition whose job is wanted."""
        transition, write = encoded.transition, write_of_one(encoded)
        raw = await resend(
            lambda: self._undecoded.find_one_and_update(**write, return_document=ReturnDocument.AFTER)
        )
        if raw is not None:
            job = decode_job(raw)
            return {job.id: Applied(job.status, transition.attempt_after, job=job)}
        return await resend(partial(self._reads.up_to_date, partial(self._read_back, [transition])))

    async def _read_back(self, transitions: Sequence[Transition]) -> Mapping[UUID, Resolution]:
        by_id = {transition.job_id: transition for transition in transitions}
        without = {"payload": 0, "labels": 0}
        # Fields that may be large are read only if a resolution depends on them.
        if not any(transition.change.status.is_terminal for transition in transitions):
            without["result"] = 0
        if not any(transition.reports_failure for transition in transitions):
            without["history"] = 0
        resolutions: dict[UUID, Resolution] = {}
        async for document in self._undecoded.find({"_id": {"$in": list(by_id)}}, without):
            job = decode_job(document)
            resolutions[job.id] = resolve(by_id[job.id], job)
        for transition in transitions:
            resolutions.setdefault(transition.job_id, resolve(transition, None))
        return resolutions
