"""The parts of a job as they are stored, and BSON as plain data. Pure."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import bson
from bson.binary import UUID_SUBTYPE, Binary
from bson.errors import BSONError
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from api_server.adapters.mongo.client import CODEC, Document
from api_server.domain.attempt import Attempt, Failure, Outcome
from api_server.domain.job import Progress
from api_server.domain.notify import Notify
from api_server.domain.record_positions import RecordPosition
from api_server.domain.retry import DEFAULT_POLICY, RetryPolicy, Tries
from contract_runtime.errors import invalid

REFERENCE = b"$ref\0"
"""The bytes of a key that makes PyMongo decode an object as a DBRef. Few documents contain them."""


def encode_object(field: str, value: Mapping[str, Any]) -> RawBSONDocument:
    """`value` as BSON.

    It is encoded by itself, so that a bad value cannot fail a batch. Raises InvalidArgument.
    """
    try:
        return RawBSONDocument(bson.encode(value, codec_options=CODEC))
    except (BSONError, OverflowError, ValueError) as error:
        raise invalid(field, "storable", f"cannot be stored: {error}") from error


def decode(raw: RawBSONDocument) -> Mapping[str, Any]:
    """A document as plain data. PyMongo would decode each object with the keys $ref and $id as a DBRef."""
    if REFERENCE not in raw.raw:
        return bson.decode(raw.raw, codec_options=CODEC)
    return {key: _plain(value) for key, value in raw.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, RawBSONDocument):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def from_id(job_id: UUID) -> Binary:
    """The `_id` of a job. PyMongo encodes a UUID to the same bytes, but takes three times as long."""
    return Binary(job_id.bytes, UUID_SUBTYPE)


def label(key: str, value: str) -> str:
    """One label as it is stored. A key has no "="."""
    return f"{key}={value}"


def has_label_key(key: str) -> Document:
    """The condition that a job has a label with this key.

    It is an expression, for which MongoDB never walks an index: it would walk the labels with this key in the
    order of their values, and sort the jobs afterwards.
    """
    prefix = label(key, "")
    at = {"$indexOfBytes": ["$$this", {"$literal": prefix}, 0, len(prefix)]}
    starts_so = {"$map": {"input": {"$ifNull": ["$labels", []]}, "in": {"$eq": [at, 0]}}}
    return {"$expr": {"$anyElementTrue": [starts_so]}}


def from_labels(labels: Mapping[str, str]) -> list[str]:
    return sorted(label(key, value) for key, value in labels.items())


def to_labels(entries: Sequence[str]) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in entries)


def to_duration(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def to_timeout(document: Mapping[str, Any]) -> timedelta | None:
    return to_duration(document["timeout"]) if "timeout" in document else None


def from_failure(failure: Failure) -> Document:
    return {"code": failure.code, "message": failure.message, "reason": failure.reason}


def to_failure(document: Mapping[str, Any]) -> Failure:
    return Failure(document["code"], document["message"], document["reason"])


def from_policy(policy: RetryPolicy) -> Document:
    return {
        "max_attempts": policy.max_attempts,
        "initial_backoff": policy.initial_backoff.total_seconds(),
        "max_backoff": policy.max_backoff.total_seconds(),
        "multiplier": policy.multiplier,
        "jitter": policy.jitter,
    }


def to_policy(document: Mapping[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        document["max_attempts"],
        timedelta(seconds=document["initial_backoff"]),
        timedelta(seconds=document["max_backoff"]),
        document["multiplier"],
        document["jitter"],
    )


def to_tries(document: Mapping[str, Any]) -> Tries:
    policy = document.get("retry_policy")
    return Tries(document.get("failures", 0), DEFAULT_POLICY if policy is None else to_policy(policy))


def to_progress(document: Mapping[str, Any]) -> Progress:
    return Progress(document["percent"], document["message"])


def from_notify(notify: Notify) -> Document:
    return {"url": notify.url, "is_default": True} if notify.is_default else {"url": notify.url}


def to_notify(document: Mapping[str, Any]) -> Notify:
    return Notify(document["url"], document.get("is_default", False))


def to_history(entries: Sequence[Mapping[str, Any]]) -> tuple[Attempt, ...]:
    return tuple(map(_to_attempt, entries))


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


def from_position(position: RecordPosition) -> Document:
    return {"partition": position.partition, "offset": Int64(position.offset), "time": Int64(position.time)}


def to_position(document: Mapping[str, Any]) -> RecordPosition:
    return RecordPosition(document["partition"], int(document["offset"]), int(document["time"]))
