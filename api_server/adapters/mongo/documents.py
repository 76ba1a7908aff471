"""A job as a document and back.

The fields of a document in `jobs`:

_id               UUID (BSON binary, subtype 4)
type              string
status            string, the contract's name
payload           object
result            object, absent until the job has completed
error             {code, message, reason}, once the job has failed or was cancelled
attempt           int
revision          int
worker_id         string, absent if no worker holds the job, or held it when it ended
claim_id          string, of an unfenced claim
cancel_id         string, of the latest Cancel
retry_id          string, of the latest Retry
owner             string, the principal that created the job; absent if callers were not known
content_digest    string, see contract_runtime.content_digest; absent if no record carries the payload
labels            sorted list of "key=value", absent when empty
create_time, update_time, start_time, end_time, schedule_time, expire_time
timeout           seconds (double)
retry_policy      {max_attempts, initial_backoff, max_backoff, multiplier, jitter}, waits in seconds (double);
                  absent: the defaults
failures, losses  int, absent: 0
lone_losses       int, absent: 0: losses of workers that held only this job
alone             true while the holder holds only this job, and if it did when the job ended
history           list of {attempt, worker_id, start_time, end_time, outcome, error}, of past attempts, oldest
                  first
progress          {percent, message, time}
notify            {url, is_default}: who is notified of the job's end; is_default absent: false
unnotified        true until the notification of the job's end is stored; Retry sets it again
next_attempt_time of a job that was scheduled, or waits for another try
due_time          absent once the job has ended; never after the expire_time of a queued job
dispatches        records published since the status last changed; absent: 0
record            {partition, offset, time}: position of the latest of them; absent if `dispatches` is
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any

from bson.raw_bson import RawBSONDocument

from api_server.adapters.mongo.client import Document
from api_server.adapters.mongo.document_parts import (
    decode,
    encode_object,
    from_failure,
    from_id,
    from_labels,
    from_notify,
    from_policy,
    to_duration,
    to_failure,
    to_history,
    to_labels,
    to_notify,
    to_policy,
    to_progress,
)
from api_server.domain.job import Job, Status
from contract_runtime.job_fields import FIELDS, Kind

AT_ONCE = 64 * 1024
"""Bytes that are decoded on the event loop."""
HIDDEN = {
    "lone_losses": Kind.NUMBER,
    "claim_id": Kind.TEXT,
    "cancel_id": Kind.TEXT,
    "retry_id": Kind.TEXT,
    "owner": Kind.TEXT,
    "content_digest": Kind.TEXT,
}
"""Fields that are stored and never shown."""
STORED = {**FIELDS, **HIDDEN}
STORED_NAMES = {"id": "_id"}
"""Names in a document that are not the contract's."""
ATTRIBUTES = {"history": "past"}
"""Names in the domain that are not the contract's.

The history in the domain and in the contract includes the present attempt, the stored one does not.
"""
ALWAYS_STORED = frozenset({"attempt", "revision"})
"""Stored even if they have their defaults: guards compare the attempt, and changes add to both."""

LARGE = ("payload", "result", "history")
"""Fields that may be large."""

Convert = Callable[[Any], Any] | None
"""None: the value is stored as it is."""
WRITERS: Mapping[Kind, Convert] = {
    Kind.ID: from_id,
    Kind.STATUS: attrgetter("value"),
    Kind.TEXT: None,
    Kind.NUMBER: None,
    Kind.TIME: None,
    Kind.DURATION: timedelta.total_seconds,
    Kind.LABELS: from_labels,
    Kind.ERROR: from_failure,
    Kind.RETRY_POLICY: from_policy,
    Kind.NOTIFY: from_notify,
}
"""How to store the fields of a new job. `_writer` encodes objects. Updates write history and progress."""
READERS: Mapping[Kind, Convert] = {
    Kind.ID: None,
    Kind.STATUS: Status,
    Kind.TEXT: None,
    Kind.NUMBER: None,
    Kind.TIME: None,
    Kind.OBJECT: None,
    Kind.DURATION: to_duration,
    Kind.LABELS: to_labels,
    Kind.ERROR: to_failure,
    Kind.RETRY_POLICY: to_policy,
    Kind.HISTORY: to_history,
    Kind.PROGRESS: to_progress,
    Kind.NOTIFY: to_notify,
}


def _writer(name: str, kind: Kind) -> Convert:
    return partial(encode_object, name) if kind is Kind.OBJECT else WRITERS[kind]


def _default(attribute: Field[Any]) -> Any:
    """The default of an attribute; MISSING: it has none."""
    return attribute.default if attribute.default_factory is MISSING else attribute.default_factory()


_DEFAULTS = {attribute.name: _default(attribute) for attribute in fields(Job)}
_WRITTEN = {
    name: _writer(name, kind) for name, kind in STORED.items() if kind not in (Kind.HISTORY, Kind.PROGRESS)
}
_ALWAYS = [name for name in _WRITTEN if name in ALWAYS_STORED or _DEFAULTS[name] is MISSING]
_ALWAYS_NAMES = [STORED_NAMES.get(name, name) for name in _ALWAYS]
_ALWAYS_CONVERTED = [
    (stored, write)
    for name, stored in zip(_ALWAYS, _ALWAYS_NAMES, strict=True)
    if (write := _WRITTEN[name]) is not None
]
_OPTIONAL = [(name, _DEFAULTS[name], write) for name, write in _WRITTEN.items() if name not in _ALWAYS]
_NOTHING_OPTIONAL = tuple(default for _, default, _ in _OPTIONAL)
_always, _optional = attrgetter(*_ALWAYS), attrgetter(*(name for name, _, _ in _OPTIONAL))
"""Read all attributes at once, in half the time of reading each."""
_READERS = {
    STORED_NAMES.get(name, name): (ATTRIBUTES.get(name, name), READERS[kind]) for name, kind in STORED.items()
}
_SMALL_READERS = {name: reader for name, reader in _READERS.items() if name not in LARGE}


def to_document(job: Job, due_time: datetime) -> Document:
    """A job that is stored for the first time. Raises InvalidArgument."""
    document: Document = dict(zip(_ALWAYS_NAMES, _always(job), strict=True))
    for name, write in _ALWAYS_CONVERTED:
        document[name] = write(document[name])
    optional = _optional(job)
    # Most jobs have only defaults, which one comparison shows.
    if optional != _NOTHING_OPTIONAL:
        for (name, default, convert), value in zip(_OPTIONAL, optional, strict=True):
            if value != default:
                document[name] = value if convert is None else convert(value)
        if job.notify is not None:
            document["unnotified"] = True
    document["due_time"] = due_time
    return document


def to_job(document: Mapping[str, Any], stored_size: int = 0) -> Job:
    """The job in a document. A payload that was not read is {}.

    `stored_size`: bytes of the document as BSON.
    """
    values: dict[str, Any] = {"payload": {}, "stored_size": stored_size}
    for name, value in document.items():
        if value is not None and (reader := _READERS.get(name)) is not None:
            attribute, read = reader
            values[attribute] = value if read is None else read(value)
    return Job(**values)


def to_values(updated: Mapping[str, Any], removed: Iterable[str]) -> dict[str, Any] | None:
    """The attributes of a job that an update has set, but for large ones; None: it has set a part of one."""
    values: dict[str, Any] = {}
    for name, value in updated.items():
        if (reader := _SMALL_READERS.get(name)) is not None:
            attribute, read = reader
            values[attribute] = value if read is None else read(value)
        elif name.partition(".")[0] in _SMALL_READERS:
            return None
    for name in removed:
        if (reader := _SMALL_READERS.get(name)) is not None:
            values[reader[0]] = _DEFAULTS[reader[0]]
    return values


async def decode_jobs(raw: Sequence[RawBSONDocument]) -> list[Job]:
    """The jobs in undecoded documents. Many bytes are decoded in a thread, so that other calls go on."""
    if sum(len(document.raw) for document in raw) > AT_ONCE:
        return await asyncio.to_thread(lambda: [decode_job(document) for document in raw])
    return [decode_job(document) for document in raw]


def decode_job(raw: RawBSONDocument) -> Job:
    """The job in an undecoded document."""
    return to_job(decode(raw), len(raw.raw))
