"""The checks of the fuzz tests find faults."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import bson
import grpc
import pytest
from bson.raw_bson import RawBSONDocument
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status

from api_server.adapters.mongo.client import CODEC, RAW_CODEC
from api_server.domain.errors import JobIdTaken, JobNotFound, StoreUnavailable
from contract_runtime.errors import InvalidArgument, ServiceError, Violation, invalid
from contract_runtime.statuses import error_to_status
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2
from tests.fuzz.answer_checks import faults, stored_jobs
from tests.fuzz.calls import METHODS, SERVICES, NativeCall, RestCall
from tests.fuzz.jobs import job_faults
from tests.fuzz.logs import LogWatch
from tests.fuzz.roles import REAL_SURROGATE, SURROGATE, JobRole, put_in_place
from tests.fuzz.sending import NativeAnswer, RestAnswer
from tests.fuzz.storage import document_faults

GET = NativeCall(next(method for method in METHODS if method.name == "Get"), b"")
REST_GET = RestCall(SERVICES[0], "GET", b"/jobs/x", ((b"content-type", b"application/json"),), b"")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def refused(error: ServiceError) -> NativeAnswer:
    return answer_with(error_to_status(error))


def answer_with(status: Status) -> NativeAnswer:
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    return NativeAnswer(code, status.message, status)


def correct_job() -> job_pb2.Job:
    job = job_pb2.Job(id=str(uuid4()), type="compute", status=job_pb2.Job.queued, revision=1)
    job.payload.SetInParent()
    job.create_time.FromDatetime(NOW)
    job.update_time.FromDatetime(NOW)
    return job


@pytest.mark.parametrize(
    "answer",
    [
        NativeAnswer(grpc.StatusCode.OK, raw=correct_job().SerializeToString()),
        refused(JobNotFound(uuid4())),
        refused(invalid("id", "string.uuid", "must be a UUID")),
        refused(invalid("", "decode", "is not a message")),
        refused(invalid("", "part.one", "name one of them")),
    ],
)
def test_a_correct_answer_has_no_faults(answer: NativeAnswer) -> None:
    assert list(faults(GET, answer)) == []


def test_an_answer_may_repeat_a_word_of_the_caller() -> None:
    answer = refused(invalid("id", "string.uuid", "must be a UUID, is 'KeyError'"))
    call = NativeCall(GET.method, job_service_pb2.GetRequest(id="KeyError").SerializeToString())
    assert list(faults(call, answer)) == []
    assert "internals" in "\n".join(faults(GET, answer))


def test_a_message_of_the_contract_may_be_named() -> None:
    body = b'{"code":3,"message":"invalid value true for type jobs.v1.JobError","details":[]}'
    assert list(faults(REST_GET, RestAnswer(400, "application/json", None, body))) == []


class Reused(JobNotFound):
    """A known code with an undocumented reason."""

    reason = "NEW_REASON"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (NativeAnswer(grpc.StatusCode.UNKNOWN, "boom"), "no details"),
        (NativeAnswer(grpc.StatusCode.INVALID_ARGUMENT, "bad"), "no details"),
        (NativeAnswer(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large"), "no details"),
        (answer_with(Status(code=13, message="the server failed")), "code 13 is not documented"),
        (refused(StoreUnavailable()), "code 14 is not documented"),
        (answer_with(Status(code=5, message="no")), "neither BadRequest nor ErrorInfo"),
        (refused(Reused(uuid4())), "'NEW_REASON' of 'jobs.v1' is not documented"),
        (refused(invalid("id", "x", "KeyError: 'id'")), "internals"),
        (refused(invalid("id", "x", "")), "has no message"),
        (refused(invalid("", "x", "wrong")), "names no rule or no field"),
        (refused(InvalidArgument([Violation("id", "", "wrong")])), "names no rule or no field"),
        (refused(InvalidArgument([])), "0 violations"),
        (NativeAnswer(grpc.StatusCode.OK, raw=b"\xff"), "cannot be decoded"),
        (NativeAnswer(grpc.StatusCode.OK, raw=job_pb2.Job(id="x").SerializeToString()), "has a status"),
    ],
)
def test_a_wrong_native_answer_is_found(answer: NativeAnswer, text: str) -> None:
    assert text in "\n".join(faults(GET, answer))


def test_a_wrong_error_within_an_answer_is_found() -> None:
    batch = NativeCall(next(method for method in METHODS if method.name == "BatchUpdateStatus"), b"")
    outcome = job_service_pb2.UpdateOutcome(error=Status(code=2, message="boom"))
    raw = job_service_pb2.BatchUpdateStatusResponse(outcomes=[outcome]).SerializeToString()
    assert "code 2" in "\n".join(faults(batch, NativeAnswer(grpc.StatusCode.OK, raw=raw)))


def test_a_job_with_another_payload_than_was_sent_is_found() -> None:
    request = job_service_pb2.CreateRequest(type="compute")
    request.payload["n"] = 1
    call = NativeCall(
        next(method for method in METHODS if method.name == "Create"), request.SerializeToString()
    )
    job = correct_job()
    job.payload["n"] = 2
    found = faults(call, NativeAnswer(grpc.StatusCode.OK, raw=job.SerializeToString()))
    assert list(found) == ["the job differs from the request"]


def stored_outcome() -> job_service_pb2.CreateOutcome:
    job = correct_job()
    job.ClearField("payload")
    return job_service_pb2.CreateOutcome(job=job)


REFUSED_OUTCOME = job_service_pb2.CreateOutcome(error=error_to_status(JobIdTaken(uuid4())))


def batch_create_faults(*outcomes: job_service_pb2.CreateOutcome) -> list[str]:
    """What is wrong with these outcomes as the answer to a BatchCreate of two jobs."""
    item = job_service_pb2.CreateRequest(type="compute")
    item.payload.SetInParent()
    request = job_service_pb2.BatchCreateRequest(requests=[item, item])
    call = NativeCall(
        next(method for method in METHODS if method.name == "BatchCreate"), request.SerializeToString()
    )
    raw = job_service_pb2.BatchCreateResponse(outcomes=outcomes).SerializeToString()
    return list(faults(call, NativeAnswer(grpc.StatusCode.OK, raw=raw)))


def test_a_correct_batch_has_no_faults() -> None:
    assert batch_create_faults(stored_outcome(), REFUSED_OUTCOME) == []


def outcome_of(**fields: Any) -> job_service_pb2.CreateOutcome:
    """The outcome of a stored job with other fields."""
    outcome = stored_outcome()
    outcome.job.MergeFrom(job_pb2.Job(**fields))
    return outcome


@pytest.mark.parametrize(
    ("outcomes", "text"),
    [
        ([stored_outcome()], "1 outcomes for 2 requests"),
        ([REFUSED_OUTCOME, job_service_pb2.CreateOutcome()], "neither accepted nor refused"),
        ([REFUSED_OUTCOME, outcome_of(type="data")], "job 1 differs from its request"),
        ([outcome_of(labels={"a": "b"}), REFUSED_OUTCOME], "job 0 differs from its request"),
        ([outcome_of(payload={}), REFUSED_OUTCOME], "no payload"),
    ],
)
def test_a_wrong_batch_is_found(outcomes: list[job_service_pb2.CreateOutcome], text: str) -> None:
    assert text in "\n".join(batch_create_faults(*outcomes))


def test_only_jobs_in_the_outcomes_count_as_stored() -> None:
    outcome = stored_outcome()
    answer = job_service_pb2.BatchCreateResponse(outcomes=[REFUSED_OUTCOME, outcome])
    assert [job.id for job in stored_jobs(answer)] == [outcome.job.id]


def test_jobs_in_another_order_than_requested_are_found() -> None:
    jobs = [correct_job(), correct_job()]
    absent = str(uuid4())
    request = job_service_pb2.BatchGetRequest(ids=[jobs[0].id.upper(), absent, jobs[1].id])
    call = NativeCall(
        next(method for method in METHODS if method.name == "BatchGet"), request.SerializeToString()
    )
    for order, is_right in ((jobs, True), (jobs[::-1], False), (jobs[:1], False)):
        answer = job_service_pb2.BatchGetResponse(jobs=order, missing_ids=[absent])
        found = list(faults(call, NativeAnswer(grpc.StatusCode.OK, raw=answer.SerializeToString())))
        assert (found == []) is is_right


@pytest.mark.parametrize(
    ("status", "content_type", "body", "text"),
    [
        (503, "application/json", b'{"code":14,"message":"no","details":[]}', "503 with code 14"),
        (500, "text/plain", b"Internal", "content type"),
        (200, "application/json", b'{"id":NaN}', "not JSON"),
        (200, "application/json", b'{"unknown":"field"}', "no method answers with"),
        (400, "application/json", b"{}", "not of the form"),
        (400, "application/json", b'{"code":3,"message":"","details":[]}', "has no message"),
        (404, "application/json", b'{"code":3,"message":"x","details":[]}', "404 with code 3"),
        (429, "application/json", b'{"code":8,"message":"x","details":[]}', "429 with code 8"),
        (
            400,
            "application/json",
            b'{"code":3,"message":"' + b"x" * 20_000 + b'","details":[]}',
            "the answer has 20036 bytes",
        ),
        (
            409,
            "application/json",
            b'{"code":5,"message":"x","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo"}]}',
            "code 5 came as HTTP status 409",
        ),
    ],
)
def test_a_wrong_rest_answer_is_found(status: int, content_type: str, body: bytes, text: str) -> None:
    assert text in "\n".join(faults(REST_GET, RestAnswer(status, content_type, None, body)))


def wrong_jobs() -> Iterator[tuple[str, job_pb2.Job]]:
    job = correct_job()
    job.ClearField("payload")
    yield "payload", job
    job = correct_job()
    job.status = job_pb2.Job.completed
    yield "has an end", job
    yield "has a result", job
    job = correct_job()
    job.worker_id = "w"
    yield "no worker while it is queued", job
    job = correct_job()
    job.update_time.CopyFrom(Timestamp(seconds=1))
    yield "before it changed", job


@pytest.mark.parametrize(("text", "job"), list(wrong_jobs()))
def test_a_wrong_job_is_found(text: str, job: job_pb2.Job) -> None:
    assert text in "\n".join(job_faults(job))


def document(**fields: Any) -> RawBSONDocument:
    """A stored queued job with other fields. None removes a field."""
    stored = {
        "_id": uuid4(),
        "type": "compute",
        "status": "queued",
        "payload": {"a.b": {"$ref": 1, "$id": 2}},
        "attempt": 0,
        "revision": 1,
        "create_time": NOW,
        "update_time": NOW,
        "due_time": NOW,
    } | fields
    kept = {name: value for name, value in stored.items() if value is not None}
    return RawBSONDocument(bson.encode(kept, codec_options=CODEC), codec_options=RAW_CODEC)


def test_a_correct_document_has_no_faults() -> None:
    assert list(document_faults(document())) == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"status": None}, "cannot be decoded"),
        ({"status": "lost"}, "cannot be decoded"),
        ({"create_time": None}, "cannot be decoded"),
        ({"_id": "x"}, "an id that is a UUID"),
        ({"payload": None}, "a payload"),
        ({"payload": 3}, "a payload"),
        ({"due_time": None}, "a due_time until it has ended"),
        ({"status": "completed", "result": {}, "end_time": NOW}, "a due_time until it has ended"),
        ({"status": "completed", "due_time": None, "end_time": NOW}, "a result"),
        ({"status": "failed", "due_time": None, "end_time": NOW}, "an error"),
        ({"status": "cancelled", "due_time": None}, "an end"),
        ({"status": "processing", "attempt": 1, "start_time": NOW}, "a claim while it is processing"),
        ({"worker_id": "w"}, "no worker while it is queued"),
    ],
)
def test_an_incomplete_job_is_found(fields: dict[str, Any], text: str) -> None:
    assert text in "\n".join(document_faults(document(**fields)))


def test_each_new_failure_in_a_log_is_found_once(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("Traceback of old\n")
    watch = LogWatch(log)
    with log.open("a") as file:
        file.write('{"event": "fine", "level": "info"}\n{"event": "bad", "level": "error"}\nTraceback (most')
    assert [line.split('"')[3] for line in watch.troubles()] == ["bad"]
    with log.open("a") as file:
        file.write(" recent call last)\n")
    assert len(watch.troubles()) == 1
    assert watch.troubles() == []


def test_stand_ins_are_as_long_as_their_values() -> None:
    raw = f"{JobRole.HELD.stand_in} {JobRole.HELD.upper_case} {SURROGATE}".encode()
    job_id = str(uuid4())
    placed = put_in_place(raw, {JobRole.HELD.stand_in: job_id, JobRole.HELD.upper_case: job_id.upper()})
    assert placed == f"{job_id} {job_id.upper()} ".encode() + REAL_SURROGATE
    assert len(placed) == len(raw)
