"""The fields of a job: one table, and all that convert a job agree with it.

A field that is missing in one of them, or converted there as another kind, fails here.
"""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import bson
import pytest
from google.protobuf.descriptor import FieldDescriptor

from api_server.adapters.mongo.client import CODEC
from api_server.adapters.mongo.document_parts import from_failure
from api_server.adapters.mongo.documents import HIDDEN, to_document, to_job
from api_server.domain.attempt import Attempt, Failure, Outcome
from api_server.domain.job import Job, Progress, Status
from api_server.domain.notify import Notify
from api_server.domain.retry import RetryPolicy
from api_server.rpc.answers import created_message, job_message
from contract_runtime.job_fields import FIELDS, OF_AN_ANSWER, Kind, names_of
from job_client import job as job_client
from job_client._gen.jobs.v1 import job_pb2
from job_client.notify import Notify as Notified

NOT_STORED = {"payload_size", "stored_size"}
"""Attributes of the domain's job that say how large it is."""
LARGE = {"payload", "result", "history"}
"""Fields that the answer to BatchCreate leaves out."""

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ATTEMPT = Attempt(1, "w/1", EPOCH, EPOCH + SECOND, Outcome.ERRORED, Failure(13, "broken", "HANDLER_ERROR"))


def value_of(name: str, number: int, kind: Kind) -> Any:
    """A value of the domain that no other field has."""
    match kind:
        case Kind.TEXT:
            return f"text of {name}"
        case Kind.NUMBER:
            return number
        case Kind.TIME:
            return EPOCH + number * SECOND
        case Kind.DURATION:
            return number * SECOND
        case Kind.OBJECT:
            return {"name": name}
    return {
        Kind.ID: UUID("0198f0a0-0000-7000-8000-000000000001"),
        Kind.STATUS: Status.FAILED,
        Kind.LABELS: {"team": "a"},
        Kind.ERROR: Failure(3, "no input", "INVALID_INPUT"),
        Kind.RETRY_POLICY: RetryPolicy(7, SECOND, 9 * SECOND, 1.5, 0.5),
        Kind.HISTORY: (ATTEMPT,),
        Kind.PROGRESS: Progress(12.5, "reading"),
        Kind.NOTIFY: Notify("https://a.example/hook", is_default=True),
    }[kind]


VALUES = {name: value_of(name, 100 + n, kind) for n, (name, kind) in enumerate({**FIELDS, **HIDDEN}.items())}
# The domain keeps past attempts; its `history` adds the present one.
JOB = Job(**{"past" if name == "history" else name: value for name, value in VALUES.items()})


def kind_of(field: FieldDescriptor) -> Kind:
    """As the contract has it."""
    if field.name == "id":
        return Kind.ID
    if field.message_type is None:
        return {
            FieldDescriptor.TYPE_STRING: Kind.TEXT,
            FieldDescriptor.TYPE_INT32: Kind.NUMBER,
            FieldDescriptor.TYPE_ENUM: Kind.STATUS,
        }[field.type]
    return {
        "google.protobuf.Timestamp": Kind.TIME,
        "google.protobuf.Duration": Kind.DURATION,
        "google.protobuf.Struct": Kind.OBJECT,
        "jobs.v1.Job.LabelsEntry": Kind.LABELS,
        "jobs.v1.JobError": Kind.ERROR,
        "jobs.v1.RetryPolicy": Kind.RETRY_POLICY,
        "jobs.v1.Attempt": Kind.HISTORY,
        "jobs.v1.Progress": Kind.PROGRESS,
        "jobs.v1.Notify": Kind.NOTIFY,
    }[field.message_type.full_name]


def test_the_table_has_the_fields_of_the_contract_in_their_order() -> None:
    fields = [field for field in job_pb2.Job.DESCRIPTOR.fields if field.name not in OF_AN_ANSWER]
    assert list(FIELDS.items()) == [(field.name, kind_of(field)) for field in fields]


def test_the_domain_has_the_fields_of_the_table_and_those_that_are_only_stored() -> None:
    names = {field.name for field in dataclasses.fields(Job)}
    assert names - NOT_STORED == FIELDS.keys() - {"history"} | {"past"} | HIDDEN.keys()
    assert not FIELDS.keys() & HIDDEN.keys()


def as_stored(document: Mapping[str, Any]) -> dict[str, Any]:
    return dict(bson.decode(bson.encode(document, codec_options=CODEC), codec_options=CODEC))


def test_a_document_has_all_fields_and_reads_back_as_the_job() -> None:
    # Updates write these two: a job that is stored for the first time has none.
    document = to_document(JOB, EPOCH) | {
        "progress": {"percent": 12.5, "message": "reading", "time": EPOCH},
        "history": [
            {
                "attempt": 1,
                "worker_id": "w/1",
                "start_time": EPOCH,
                "end_time": EPOCH + SECOND,
                "outcome": "errored",
                "error": from_failure(Failure(13, "broken", "HANDLER_ERROR")),
            }
        ],
    }
    assert document.keys() == FIELDS.keys() - {"id"} | {"_id", "due_time", "unnotified"} | HIDDEN.keys()
    assert to_job(as_stored(document)) == JOB


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.NUMBER, Kind.TIME])
def test_plain_fields_are_stored_and_shown_as_they_are(kind: Kind) -> None:
    document, message = as_stored(to_document(JOB, EPOCH)), job_message(JOB)
    for name in names_of(kind):
        shown = getattr(message, name)
        value = shown.ToDatetime(tzinfo=UTC) if kind is Kind.TIME else shown
        assert (name, document[name], value) == (name, VALUES[name], VALUES[name])


def test_an_answer_has_all_fields_and_that_to_batch_create_all_that_are_small() -> None:
    assert {field.name for field, _ in job_message(JOB).ListFields()} == FIELDS.keys()
    created = created_message([JOB]).outcomes[0].job
    assert {field.name for field, _ in created.ListFields()} == FIELDS.keys() - LARGE


def test_the_client_has_the_fields_of_the_table_and_reads_them_as_they_were_shown() -> None:
    names = {field.name for field in dataclasses.fields(job_client.Job)}
    assert names - OF_AN_ANSWER == FIELDS.keys()

    read = job_client.to_job(job_message(JOB))
    for name in names & set(
        names_of(Kind.TEXT, Kind.NUMBER, Kind.TIME, Kind.DURATION, Kind.OBJECT, Kind.LABELS)
    ):
        assert (name, getattr(read, name)) == (name, VALUES[name])
    assert (read.id, read.status) == (str(JOB.id), job_client.Status.FAILED)
    assert read.error is not None
    assert (read.error.reason, read.error.message) == ("INVALID_INPUT", "no input")
    assert read.progress == job_client.Progress(12.5, "reading")
    assert read.notify == Notified("https://a.example/hook")


def test_a_field_that_is_absent_is_read_as_absent() -> None:
    plain = Job(JOB.id, "compute", Status.QUEUED, {}, EPOCH, EPOCH)
    always = {"id", "type", "status", "payload", "revision", "create_time", "update_time", "retry_policy"}
    assert {field.name for field, _ in job_message(plain).ListFields()} == always
    assert to_job(as_stored(to_document(plain, EPOCH))) == plain
    read = job_client.to_job(job_message(plain))
    optional = names_of(Kind.TIME, Kind.ERROR, Kind.PROGRESS, Kind.OBJECT, Kind.DURATION, Kind.NOTIFY)
    names = {field.name for field in dataclasses.fields(job_client.Job)} & set(optional)
    assert all(getattr(read, name) is None for name in names - always)
