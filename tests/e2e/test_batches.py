"""BatchCreate and BatchGet, by gRPC and by REST."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
from google.rpc.code_pb2 import Code
from uuid_utils import uuid7

from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchCreateRequest,
    BatchCreateResponse,
    BatchGetRequest,
    BatchGetResponse,
    CreateRequest,
)
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from local_stack.stack import Stack
from tests.e2e.jobs_api import wait_until_ended
from tests.e2e.rest import COMPUTE, error_of
from tests.waiting import wait_for

MAX_JOBS = 1000


@pytest.fixture
def jobs(stack: Stack) -> Iterator[JobServiceStub]:
    with grpc.insecure_channel(stack.address("api_server", 1)) as channel:
        yield JobServiceStub(channel)


def request(**fields: Any) -> CreateRequest:
    message = CreateRequest(type=fields.pop("type", "compute"), **fields)
    message.payload.update({"input": "batch"})
    return message


def batch_create(jobs: JobServiceStub, *requests: CreateRequest) -> BatchCreateResponse:
    return jobs.BatchCreate(BatchCreateRequest(requests=requests), timeout=20)


def batch_get(jobs: JobServiceStub, *ids: str) -> BatchGetResponse:
    return jobs.BatchGet(BatchGetRequest(ids=ids), timeout=20)


def not_completed(jobs: JobServiceStub, ids: list[str]) -> list[str]:
    return [job.id for job in batch_get(jobs, *ids).jobs if job.status != Job.completed]


def test_the_jobs_of_a_full_batch_are_stored_run_and_read_in_order(
    jobs: JobServiceStub,
) -> None:
    created = batch_create(jobs, *(request(labels={"n": str(n)}) for n in range(MAX_JOBS)))
    assert [outcome.job.labels["n"] for outcome in created.outcomes] == [str(n) for n in range(MAX_JOBS)]
    assert all(outcome.job.status == Job.queued for outcome in created.outcomes)
    assert not any(outcome.job.HasField("payload") for outcome in created.outcomes)
    ids = [outcome.job.id for outcome in created.outcomes]
    wait_for(lambda: not_completed(jobs, ids) == [], "all are completed")
    found = batch_get(jobs, *reversed(ids))
    assert [job.id for job in found.jobs] == ids[::-1]
    assert {job.result["hash"] for job in found.jobs} == {found.jobs[0].result["hash"]}
    assert found.jobs[0].payload["input"] == "batch"
    assert not found.missing_ids


def test_each_job_of_a_batch_has_its_own_outcome(jobs: JobServiceStub) -> None:
    taken, empty_value = str(uuid7()), CreateRequest(type="compute")
    batch_create(jobs, request(id=taken))
    empty_value.payload.fields["x"].SetInParent()
    created = batch_create(
        jobs,
        request(),
        request(type="unknown"),
        empty_value,
        CreateRequest(type="compute"),
        request(id=taken),
        request(id=taken[:-12] + "000000000000", labels={"a": "b"}),
        request(labels={"last": "one"}),
    )
    kinds = [outcome.WhichOneof("outcome") for outcome in created.outcomes]
    assert kinds == ["job", "error", "error", "error", "job", "job", "job"]
    messages = [outcome.error.message for outcome in created.outcomes[1:4]]
    assert [message.split(":")[0].split(".")[0] for message in messages] == ["type", "payload", "payload"]
    assert all(outcome.error.code == Code.INVALID_ARGUMENT for outcome in created.outcomes[1:4])
    assert created.outcomes[4].job.id == taken
    assert created.outcomes[6].job.labels == {"last": "one"}


def test_a_payload_in_a_batch_may_have_the_greatest_depth(jobs: JobServiceStub) -> None:
    deepest: dict[str, Any] = {}
    for _ in range(31):
        deepest = {"x": deepest}
    wanted = CreateRequest(type="compute")
    wanted.payload.update(deepest)
    (created,) = batch_create(jobs, wanted).outcomes
    (found,) = batch_get(jobs, created.job.id).jobs
    assert found.payload == wanted.payload


def test_a_repeated_batch_is_the_same_jobs_and_a_changed_request_is_refused(
    jobs: JobServiceStub,
) -> None:
    requests = [request(id=str(uuid7())) for _ in range(50)]
    first = batch_create(jobs, *requests)
    again = batch_create(jobs, *requests)
    assert [each.job.id for each in again.outcomes] == [each.job.id for each in first.outcomes]
    requests[7].labels["changed"] = "yes"
    third = batch_create(jobs, *requests)
    assert third.outcomes[7].error.code == Code.ALREADY_EXISTS
    assert sum(each.HasField("job") for each in third.outcomes) == 49


@pytest.mark.parametrize(
    "requests",
    [[], [request()] * (MAX_JOBS + 1), [request(id=str(uuid7()))] * 2, [request(), request(id="not a uuid")]],
    ids=["none", "too many", "an id twice", "not a uuid"],
)
def test_a_batch_that_is_refused_as_a_whole_stores_nothing(
    jobs: JobServiceStub, client: httpx.Client, requests: list[CreateRequest]
) -> None:
    mark = str(uuid4())
    marked = [CreateRequest() for _ in requests]
    for copy, original in zip(marked, requests, strict=True):
        copy.CopyFrom(original)
        copy.labels["mark"] = mark
    with pytest.raises(grpc.RpcError) as caught:
        batch_create(jobs, *marked)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert client.get("/jobs", params={"labels": f"mark={mark}"}).json()["jobs"] == []


def test_ids_of_missing_jobs_are_listed(jobs: JobServiceStub) -> None:
    (outcome,) = batch_create(jobs, request()).outcomes
    absent = str(uuid4())
    found = batch_get(jobs, absent, outcome.job.id)
    assert [job.id for job in found.jobs] == [outcome.job.id]
    assert found.missing_ids == [absent]


@pytest.mark.parametrize(
    "ids",
    [
        [],
        [str(uuid4()) for _ in range(MAX_JOBS + 1)],
        ["not a uuid"],
        [(twice := str(uuid4())), str(uuid4()), twice.upper()],
    ],
    ids=["none", "too many", "bad", "one twice"],
)
def test_a_wrong_list_of_ids_is_refused(jobs: JobServiceStub, ids: list[str]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        batch_get(jobs, *ids)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.slow
def test_jobs_too_large_for_one_answer_are_refused(jobs: JobServiceStub) -> None:
    large = CreateRequest(type="compute", labels={"large": "yes"})
    large.payload.update({"input": "x" * 1_000_000})
    ids = [batch_create(jobs, large).outcomes[0].job.id for _ in range(5)]
    assert len(batch_get(jobs, *ids[:4]).jobs) == 4
    with pytest.raises(grpc.RpcError) as caught:
        batch_get(jobs, *ids)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_batches_by_rest(client: httpx.Client) -> None:
    answer = client.post("/jobs:batchCreate", json={"requests": [COMPUTE, {**COMPUTE, "type": "unknown"}]})
    assert answer.is_success, answer.text
    stored, refused = answer.json()["outcomes"]
    assert stored["job"]["status"] == "queued"
    assert refused["error"]["code"] == Code.INVALID_ARGUMENT
    wait_until_ended(client, stored["job"]["id"])
    absent = str(uuid4())
    found = client.get("/jobs:batchGet", params={"ids": [absent, stored["job"]["id"]]}).json()
    assert [job["status"] for job in found["jobs"]] == ["completed"]
    assert found["missingIds"] == [absent]
    error_of(client.post("/jobs:batchCreate", json={"requests": []}), 400, 3)
    error_of(client.get("/jobs:batchGet"), 400, 3)


def test_more_ids_than_fit_into_a_url_can_be_posted(client: httpx.Client) -> None:
    job_id = client.post("/jobs", json=COMPUTE).json()["id"]
    ids = [job_id, *(str(uuid4()) for _ in range(MAX_JOBS - 1))]
    found = client.post("/jobs:batchGet", json={"ids": ids}).json()
    assert [job["id"] for job in found["jobs"]] == [job_id]
    assert found["missingIds"] == ids[1:]
    error_of(client.post("/jobs:batchGet", json={"ids": [*ids, str(uuid4())]}), 400, 3)
