"""Ends leases whose holders are lost, and waiting jobs that have expired.

A read finds the jobs, and a guarded write changes them: a job that has changed in between is left alone. A
worker may hold thousands of jobs, so they are written in few statements, as other transitions are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from api_server.adapters.mongo.client import READ_SECONDS, Collection, within
from api_server.adapters.mongo.indexes import BY_DUE_TIME
from api_server.adapters.mongo.plan import encode, plan
from api_server.adapters.mongo.writes import Writes, resend
from api_server.domain.attempt import Failure
from api_server.domain.job import Status
from api_server.domain.transition import NO_WORKER, Transition
from api_server.domain.transitions import EXPIRED, POISON, expire, expire_lease
from api_server.ports import EndedLeases

AT_ONCE = 1000
"""Jobs in one write, which must end within WRITE_SECONDS."""
FIELDS = {"type": 1, "attempt": 1, "worker_id": 1, "alone": 1, "lone_losses": 1}


async def expire_due_leases(jobs: Collection, writes: Writes, now: datetime, limit: int) -> EndedLeases:
    """See DueStore.expire_leases."""
    where = {"status": Status.PROCESSING.value, "due_time": {"$lt": now}}
    async with within(READ_SECONDS):
        found = await jobs.find(where, FIELDS).hint(BY_DUE_TIME).limit(limit).to_list(limit)
    # The write checks the lease again: a heartbeat may have moved it meanwhile.
    return await _end_leases(jobs, writes, found, now, is_lease_over=True)


async def release_all(jobs: Collection, writes: Writes, worker_id: str, now: datetime) -> EndedLeases:
    """See JobStore.release_all. Reads the jobs that any worker holds, which are few among all jobs."""
    where = {
        "status": Status.PROCESSING.value,
        "worker_id": worker_id,
        "due_time": {"$exists": True},
    }
    async with within(READ_SECONDS):
        found = [document async for document in jobs.find(where, FIELDS).hint(BY_DUE_TIME)]
    return await _end_leases(jobs, writes, found, now, is_lease_over=False)


async def expire_all(
    jobs: Collection, writes: Writes, job_type: str, job_ids: Sequence[UUID], now: datetime
) -> int:
    """See DueStore.expire."""
    count = await _write(jobs, writes, [expire(job_id, now, job_type) for job_id in job_ids])
    if count == len(job_ids):
        return count
    return len(await _failed_at(jobs, job_ids, now, EXPIRED))


async def _end_leases(
    jobs: Collection,
    writes: Writes,
    documents: Sequence[Mapping[str, Any]],
    now: datetime,
    *,
    is_lease_over: bool,
) -> EndedLeases:
    """If a statement was sent again, only the jobs that its last sending changed are in the count."""
    transitions = [_expiry_of(document, now, is_lease_over=is_lease_over) for document in documents]
    count = await _write(jobs, writes, transitions)
    types = {
        document["_id"]: document["type"]
        for document, transition in zip(documents, transitions, strict=True)
        if transition.change.status is Status.FAILED
    }
    # Such jobs are rare. Otherwise this costs no read.
    failed = await _failed_at(jobs, list(types), now, POISON) if types else ()
    return EndedLeases(count, Counter(types[job_id] for job_id in failed))


async def _failed_at(
    jobs: Collection, job_ids: Sequence[UUID], now: datetime, why: Failure
) -> Sequence[UUID]:
    """Those that have failed at this time for this reason: by whichever sending of the write."""
    where = {
        "_id": {"$in": list(job_ids)},
        "status": Status.FAILED.value,
        "end_time": now,
        "error.reason": why.reason,
    }
    async with within(READ_SECONDS):
        return [document["_id"] async for document in jobs.find(where, {"_id": 1}).hint([("_id", 1)])]


def _expiry_of(document: Mapping[str, Any], now: datetime, *, is_lease_over: bool) -> Transition:
    return expire_lease(
        document["_id"],
        document.get("worker_id", NO_WORKER),
        document["attempt"],
        now,
        alone=document.get("alone", False),
        lone_losses=document.get("lone_losses", 0),
        is_lease_over=is_lease_over,
    )


async def _write(jobs: Collection, writes: Writes, transitions: Sequence[Transition]) -> int:
    """How many matched."""
    matched = 0
    for start in range(0, len(transitions), AT_ONCE):
        part = transitions[start : start + AT_ONCE]
        matched += await writes.run(partial(_send, jobs, part))
    return matched


async def _send(jobs: Collection, transitions: Sequence[Transition]) -> int:
    matched = 0
    for statement in plan(map(encode, transitions)):
        answer = await resend(partial(jobs.bulk_write, statement.writes, ordered=False))
        matched += answer.matched_count
    return matched
