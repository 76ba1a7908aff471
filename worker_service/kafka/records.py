"""Kafka records decoded and checked against the contract."""

import re

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from contract_runtime.content_digest import canonical_payload, content_digest
from contract_runtime.errors import InvalidArgument
from contract_runtime.topics import topic_of
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.job_pb2 import Job
from service_runtime.validation import ContractValidator

MAX_TYPE = 63
"""Characters; the contract's limit for a job's type."""
SUSPECT_LOSSES = 2
"""After this many of its workers were lost, the job itself may be the cause."""
NO_LIMIT = Duration()
_uuid = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


class BadRecord(ValueError):
    """No worker can use this record. The message says why."""


def decode_record(value: bytes | None, topic: str, validator: ContractValidator) -> DispatchRecord:
    """The dispatch record in a Kafka record's value, its id in lower case. Raises BadRecord."""
    if value is None:
        raise BadRecord("the record has no value")
    try:
        record = DispatchRecord.FromString(value)
        if not is_plainly_valid(record):
            validator.check(record)
            record.id = record.id.lower()
    except DecodeError:
        raise BadRecord("the value is not a DispatchRecord") from None
    except InvalidArgument as error:
        raise BadRecord(error.message) from None
    if topic_of(record.type) != topic:
        raise BadRecord(f"type: must belong to topic {topic}, is {record.type!r}")
    return record


def is_plainly_valid(record: DispatchRecord) -> bool:
    """Whether a record keeps the contract's rules, in the form that the API server writes. False: the
    validator decides.

    It takes a quarter of the validator's time and is enough for nearly every record.
    """
    return (
        _uuid(record.id) is not None
        and 0 < len(record.type) <= MAX_TYPE
        and record.attempt >= 0
        and record.losses >= 0
        and record.max_attempts >= 0
        and not record.labels
        and (record.HasField("payload") or record.payload_omitted)
        and not record.HasField("timeout")
    )


def time_limit_of(job: DispatchRecord | Job) -> float | None:
    """How long one attempt may run, in seconds; None: without a limit."""
    if not job.HasField("timeout"):
        return None
    # Not through a timedelta, which does not hold every Duration.
    return float(job.timeout.seconds + job.timeout.nanos / 1e9)


def digest_of(record: DispatchRecord) -> str:
    """The digest of what a handler receives from this record; "": it receives what the API server has."""
    if record.payload_omitted:
        return ""
    timeout = record.timeout if record.HasField("timeout") else NO_LIMIT
    return content_digest(
        record.id.replace("-", ""),
        record.type,
        canonical_payload(record.payload),
        record.labels,
        record.max_attempts,
        timeout.seconds * 1_000_000 + timeout.nanos // 1000,
    )


def without_content(record: DispatchRecord) -> DispatchRecord:
    """The record as the hint that a job waits. The worker asks the API server for everything else."""
    return DispatchRecord(
        id=record.id, type=record.type, attempt=record.attempt, losses=record.losses, payload_omitted=True
    )


def is_suspect(record: DispatchRecord) -> bool:
    """Whether a job may crash its worker; see worker_service.claiming.suspects."""
    return record.losses >= SUSPECT_LOSSES
