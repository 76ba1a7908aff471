"""Jobs of every type, created by REST and by the stubs, with their results; and lists of jobs."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
from uuid_utils.compat import uuid7

from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc
from local_stack.demo import JOBS, contains
from local_stack.stack import Stack
from tests.e2e.jobs_api import create, get, wait_for_status, wait_until_ended


@pytest.fixture
def stub(stack: Stack) -> Any:
    with grpc.insecure_channel(stack.endpoints.jobs_address) as channel:
        yield job_service_pb2_grpc.JobServiceStub(channel)


@pytest.mark.parametrize("job_type", JOBS)
def test_a_job_of_each_type_ends_with_its_result(client: httpx.Client, job_type: str) -> None:
    payload, expected = JOBS[job_type]
    job = wait_until_ended(client, create(client, job_type, payload)["id"])
    assert job["status"] == "completed", job
    assert contains(job["result"], expected)
    assert (job["attempt"], job["revision"]) == (1, 3)
    assert job["workerId"].startswith("worker-")
    assert job["createTime"] <= job["startTime"] <= job["endTime"] == job["updateTime"]


@pytest.mark.parametrize(
    ("job_type", "payload", "reason", "text"),
    [
        ("compute", {}, "INVALID_INPUT", "input"),
        ("compute", {"input": 1}, "INVALID_INPUT", "input"),
        ("file", {"path": "../haiku.txt"}, "INVALID_INPUT", "path"),
        ("blockchain", {"transactions": ["zz"]}, "INVALID_INPUT", "transactions"),
        ("data", {"records": 3}, "INVALID_INPUT", "records"),
        ("broken", {"text": "it broke"}, "HANDLER_ERROR", "RuntimeError: it broke"),
        ("suicidal", {}, "WORKER_PROCESS_DIED", ""),
    ],
)
def test_a_job_that_cannot_be_done_fails_with_a_reason_and_without_a_trace(
    client: httpx.Client, job_type: str, payload: dict[str, Any], reason: str, text: str
) -> None:
    job = wait_until_ended(client, create(client, job_type, payload)["id"])
    assert job["status"] == "failed"
    assert job["error"]["reason"] == reason
    assert text in job["error"]["message"]
    assert "Traceback" not in job["error"]["message"]
    assert job["error"]["code"] == ("INVALID_ARGUMENT" if reason == "INVALID_INPUT" else "INTERNAL")


def test_a_payload_too_large_for_a_kafka_record_reaches_the_handler(
    client: httpx.Client,
) -> None:
    text = "x" * 900_000
    job = wait_until_ended(client, create(client, "compute", {"input": text})["id"])
    assert job["status"] == "completed"
    assert job["payload"] == {"input": text}


def test_a_chosen_id_makes_a_retry_safe(client: httpx.Client) -> None:
    job_id = str(uuid7())
    first = create(client, "compute", {"input": "same"}, id=job_id)
    assert first["id"] == job_id
    assert create(client, "compute", {"input": "same"}, id=job_id)["createTime"] == first["createTime"]
    other = client.post("/jobs", json={"id": job_id, "type": "compute", "payload": {"input": "other"}})
    assert (other.status_code, other.json()["details"][0]["reason"]) == (409, "JOB_ID_TAKEN")


def test_concurrent_calls_with_one_idempotency_key_create_one_job(client: httpx.Client) -> None:
    key, label = str(uuid4()), uuid4().hex

    def post(text: str) -> httpx.Response:
        body = {"type": "compute", "payload": {"input": text}, "labels": {"race": label}}
        return client.post("/jobs", json=body, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(post, ["same"] * 48))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    # The calls that came first may have been several; each later one is a replay.
    assert post("same").headers["idempotent-replayed"] == "true"
    assert len(client.get("/jobs", params={"labels": f"race={label}"}).json()["jobs"]) == 1
    refused = post("other")
    assert (refused.status_code, refused.json()["details"][0]["reason"]) == (409, "IDEMPOTENCY_KEY_REUSED")


def pages(client: httpx.Client, **query: Any) -> list[list[str]]:
    """The job ids of each page."""
    found, token = [], ""
    while True:
        answer = client.get("/jobs", params={**query, "pageToken": token})
        assert answer.is_success, answer.text
        found.append([job["id"] for job in answer.json()["jobs"]])
        token = answer.json()["nextPageToken"]
        if not token:
            return found


def test_pages_are_newest_first_and_stay_stable_while_jobs_are_created(client: httpx.Client) -> None:
    label = uuid4().hex
    created = [create(client, "compute", {"input": ""}, labels={"list": label})["id"] for _ in range(7)]
    query: dict[str, str | int] = {"labels": f"list={label}", "pageSize": 3}
    first = client.get("/jobs", params=query).json()
    create(client, "compute", {"input": ""}, labels={"list": label})
    rest, token = [], first["nextPageToken"]
    while token:
        page = client.get("/jobs", params={**query, "pageToken": token}).json()
        rest += [job["id"] for job in page["jobs"]]
        token = page["nextPageToken"]
    assert [job["id"] for job in first["jobs"]] + rest == created[::-1]


def test_filters_can_be_combined(client: httpx.Client) -> None:
    label = uuid4().hex
    wanted = create(client, "compute", {}, labels={"filter": label, "size": "l"})
    create(client, "compute", {"input": "fine"}, labels={"filter": label})
    create(client, "data", {}, labels={"filter": label, "size": "l"})
    wait_for_status(client, wanted["id"], "failed")
    assert pages(
        client,
        status="failed",
        type="compute",
        labels=[f"filter={label}", "size=l"],
        createTimeFrom=wanted["createTime"],
    ) == [[wanted["id"]]]
    assert pages(client, labels=f"filter={label}", createTimeBefore=wanted["createTime"]) == [[]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"pageToken": "nonsense"}, "page_token"),
        ({"pageSize": "-1"}, "page_size"),
        ({"labels": "no-value"}, "labels[0]"),
    ],
)
def test_a_wrong_list_request_names_the_field(
    client: httpx.Client, query: dict[str, str], field: str
) -> None:
    answer = client.get("/jobs", params=query)
    assert answer.status_code == 400
    assert answer.json()["details"][0]["fieldViolations"][0]["field"] == field


def test_a_missing_job_is_not_found(client: httpx.Client) -> None:
    job_id = str(uuid4())
    answer = client.get(f"/jobs/{job_id}")
    assert answer.status_code == 404
    assert job_id in answer.json()["message"]


def update(job_id: str, **fields: Any) -> job_service_pb2.UpdateStatusRequest:
    return job_service_pb2.UpdateStatusRequest(id=job_id, **fields)


def test_each_update_of_a_batch_has_its_own_outcome_in_order(stub: Any, client: httpx.Client) -> None:
    claim = job_service_pb2.Claim(worker_id="somebody/1", expected_attempt=0)
    ids = [create(client, "gated", {"ledger": "/dev/null", "gate": "/dev/null"})["id"] for _ in range(2)]
    for job_id in ids:
        wait_until_ended(client, job_id)
    missing = str(uuid7())
    answer = stub.BatchUpdateStatus(
        job_service_pb2.BatchUpdateStatusRequest(
            requests=[
                update(ids[0], status=job_pb2.Job.processing, claim=claim),
                update(missing, status=job_pb2.Job.processing, claim=claim),
                update(ids[1], status=job_pb2.Job.queued),
            ]
        )
    )
    codes = [outcome.error.code for outcome in answer.outcomes]
    assert codes == [grpc.StatusCode.FAILED_PRECONDITION.value[0], grpc.StatusCode.NOT_FOUND.value[0], 3]


def test_create_by_stub_returns_the_stored_job(stub: Any, client: httpx.Client) -> None:
    before = datetime.now(UTC)
    request = job_service_pb2.CreateRequest(type="compute", payload=dict_to_struct({"input": "stub"}))
    job = stub.Create(request, timeout=10)
    assert job.status == job_pb2.Job.queued
    assert abs((job.create_time.ToDatetime(tzinfo=UTC) - before).total_seconds()) < 60
    assert get(client, job.id)["payload"] == {"input": "stub"}
