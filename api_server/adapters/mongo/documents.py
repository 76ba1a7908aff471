"""A job as a document and back. Pure.

The fields of a document in `jobs`:

_id               UUID (BSON binary, subtype 4)
type              string
status            string, the contract's word
payload           object
result            object, absent until completed
error             {code, message, reason}, once it has failed or was cancelled
attempt           int
revision          int
worker_id         string, absent when nobody holds the job, or held it when it ended
claim_id          string, of a claim without a worker's name
cancel_id         string, of the latest Cancel
retry_id          string, of the latest Retry
labels            sorted list of "key=value", absent when empty
create_time, update_time, start_time, end_time, schedule_time, expire_time
timeout           seconds (double)
retry_policy      {max_attempts, initial_backoff, max_backoff, multiplier, jitter}, waits in seconds (double);
                  absent: the defaults
failures, losses  int, absent: 0
lone_losses       int, absent: 0: losses of workers that had nothing else in hand
alone             true while the job is all that its holder has in hand, and when it ended like that
history           list of {attempt, worker_id, start_time, end_time, outcome, error}, of past attempts, oldest first
progress          {percent, message, time}
next_attempt_time of a job that was scheduled, or waits after a failure
due_time          absent once the job has ended; of a queued job never after expire_time
dispatches        records published since the status last changed; absent: 0
record            {partition, offset, time}: where the latest of them lies; absent with `dispatches`
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import bson
from bson.binary import UUID_SUBTYPE, Binary
from bson.errors import BSONError
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from api_server.adapters.mongo.client import CODEC, Document
from api_server.domain.attempt import Attempt, Failure, Outcome
from api_server.domain.job import Job, Progress, Status
from api_server.domain.record_positions import RecordPosition
from api_server.domain.retry import DEFAULT_POLICY, RetryPolicy, Tries
from contract_runtime.errors import invalid

REFERENCE = b"$ref\0"
"""Stands in the bytes of a document that has such a key, and in few others."""


def encode_object(field: str, value: Mapping[str, Any]) -> RawBSONDocument:
    """`value` as BSON, encoded once and by itself, so that it cannot fail a batch. Raises InvalidArgument."""
    try:
        return RawBSONDocument(bson.encode(value, codec_options=CODEC))
    except (BSONError, OverflowError, ValueError) as error:
        raise invalid(field, "storable", f"cannot be stored: {error}") from error


def stored_id(job_id: UUID) -> Binary:
    """The `_id` of a job. PyMongo makes the same of a UUID, in three times the time."""
    return Binary(job_id.bytes, UUID_SUBTYPE)


def to_document(job: Job, due_time: datetime) -> Document:
    """A job that is stored for the first time. Raises InvalidArgument."""
    document: Document = {
        "_id": stored_id(job.id),
        "type": job.type,
        "status": job.status.value,
        "payload": encode_object("payload", job.payload),
        "attempt": job.attempt,
        "revision": job.revision,
        "create_time": job.create_time,
        "update_time": job.update_time,
        "due_time": due_time,
    }
    if job.labels:
        document["labels"] = sorted(label(key, value) for key, value in job.labels.items())
    if job.retry_policy != DEFAULT_POLICY:
        document["retry_policy"] = _from_policy(job.retry_policy)
    if job.timeout is not None:
        document["timeout"] = job.timeout.total_seconds()
    times = {
        "schedule_time": job.schedule_time,
        "expire_time": job.expire_time,
        "next_attempt_time": job.next_attempt_time,
    }
    return document | {name: time for name, time in times.items() if time is not None}


def to_job(document: Mapping[str, Any]) -> Job:
    """The job in a document; a payload that was not read along counts as {}."""
    error, progress, tries = document.get("error"), document.get("progress"), to_tries(document)
    return Job(
        id=document["_id"],
        type=document["type"],
        status=Status(document["status"]),
        payload=document.get("payload", {}),
        create_time=document["create_time"],
        update_time=document["update_time"],
        labels=dict(entry.split("=", 1) for entry in document.get("labels", ())),
        attempt=document["attempt"],
        revision=document["revision"],
        worker_id=document.get("worker_id", ""),
        result=document.get("result"),
        failure=to_failure(error) if error is not None else None,
        start_time=document.get("start_time"),
        end_time=document.get("end_time"),
        retry_policy=tries.policy,
        failures=tries.failures,
        losses=document.get("losses", 0),
        lone_losses=document.get("lone_losses", 0),
        past=tuple(_to_attempt(entry) for entry in document.get("history", ())),
        schedule_time=document.get("schedule_time"),
        expire_time=document.get("expire_time"),
        timeout=to_timeout(document),
        next_attempt_time=document.get("next_attempt_time"),
        progress=Progress(progress["percent"], progress["message"]) if progress is not None else None,
        claim_id=document.get("claim_id", ""),
        cancel_id=document.get("cancel_id", ""),
        retry_id=document.get("retry_id", ""),
    )


def to_tries(document: Mapping[str, Any]) -> Tries:
    policy = document.get("retry_policy")
    return Tries(document.get("failures", 0), DEFAULT_POLICY if policy is None else _to_policy(policy))


def to_timeout(document: Mapping[str, Any]) -> timedelta | None:
    return timedelta(seconds=document["timeout"]) if "timeout" in document else None


def _to_attempt(entry: Mapping[str, Any]) -> Attempt:
    error = entry.get("error")
    return Attempt(
        entry["attempt"],
        entry.get("worker_id", ""),
        entry["start_time"],
        entry["end_time"],
        Outcome(entry["outcome"]),
        to_failure(error) if error is not None else None,
    )


def _from_policy(policy: RetryPolicy) -> Document:
    return {
        "max_attempts": policy.max_attempts,
        "initial_backoff": policy.initial_backoff.total_seconds(),
        "max_backoff": policy.max_backoff.total_seconds(),
        "multiplier": policy.multiplier,
        "jitter": policy.jitter,
    }


def _to_policy(document: Mapping[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        document["max_attempts"],
        timedelta(seconds=document["initial_backoff"]),
        timedelta(seconds=document["max_backoff"]),
        document["multiplier"],
        document["jitter"],
    )


def decode_job(raw: RawBSONDocument) -> Job:
    """The job in an undecoded document."""
    return to_job(decode(raw))


def decode(raw: RawBSONDocument) -> Mapping[str, Any]:
    """A document as plain data. PyMongo would make a DBRef of every object that has the keys $ref and $id."""
    if REFERENCE not in raw.raw:
        return bson.decode(raw.raw, codec_options=CODEC)
    return {key: _plain(value) for key, value in raw.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, RawBSONDocument):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def from_failure(failure: Failure) -> Document:
    return {"code": failure.code, "message": failure.message, "reason": failure.reason}


def to_failure(document: Mapping[str, Any]) -> Failure:
    return Failure(document["code"], document["message"], document["reason"])


def from_position(position: RecordPosition) -> Document:
    return {"partition": position.partition, "offset": Int64(position.offset), "time": Int64(position.time)}


def to_position(document: Mapping[str, Any]) -> RecordPosition:
    return RecordPosition(document["partition"], int(document["offset"]), int(document["time"]))


def label(key: str, value: str) -> str:
    """One label as it is stored; a key has no "="."""
    return f"{key}={value}"
