"""A job as a document and back. Pure.

The fields of a document in `jobs`:

_id          UUID (BSON binary, subtype 4)        worker_id    string, absent when nobody holds the job
type         string                               claim_id     string, of a claim without a worker's name
status       string, the contract's word          labels       sorted list of "key=value", absent when empty
payload      object                               create_time, update_time, start_time, end_time
result       object, absent until completed       due_time     absent once the job has ended
error        {code, message, reason}              dispatches   records published since the status last changed;
attempt      int                                               absent: 0
revision     int
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from api_server.adapters.mongo_client import CODEC, Document
from api_server.domain.job import Failure, Job, Status
from service_runtime.errors import invalid

REFERENCE = b"$ref\0"
"""Stands in the bytes of a document that has such a key, and in few others."""


def encode_object(field: str, value: Mapping[str, Any]) -> RawBSONDocument:
    """`value` as BSON, encoded once and by itself, so that it cannot fail a batch. Raises InvalidArgument."""
    try:
        return RawBSONDocument(bson.encode(value, codec_options=CODEC))
    except (BSONError, OverflowError, ValueError) as error:
        raise invalid(field, "storable", f"cannot be stored: {error}") from error


def to_document(job: Job, due_time: datetime) -> Document:
    """A job that is stored for the first time. Raises InvalidArgument."""
    document: Document = {
        "_id": job.id,
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
    return document


def to_job(document: Mapping[str, Any]) -> Job:
    """The job in a document; a payload that was not read along counts as {}."""
    error = document.get("error")
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
        claim_id=document.get("claim_id", ""),
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


def label(key: str, value: str) -> str:
    """One label as it is stored; a key has no "="."""
    return f"{key}={value}"
