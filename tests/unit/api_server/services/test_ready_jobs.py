"""Which jobs the dispatcher gets, and that a payload's size is measured once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api_server.domain import payload_size
from api_server.domain.creation import DISPATCH_GRACE, NewJob
from api_server.domain.job import Dispatch, Job, Status
from api_server.domain.payload_size import MAX_TRAVELLING_BYTES
from api_server.rpc import requests
from api_server.services.job_groups import LARGE, is_large
from api_server.services.ready_jobs import ReadyJobs
from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2
from tests.unit.api_server.dispatch.dispatch_fakes import NOW, FixedClock

SOON, LATER = NOW + DISPATCH_GRACE, NOW + timedelta(hours=1)
ID = UUID(int=1)


class Offers:
    grace = DISPATCH_GRACE

    def __init__(self) -> None:
        self.offered: list[tuple[Dispatch, datetime]] = []
        self.removed: list[UUID] = []

    def offer(self, dispatch: Dispatch, due_time: datetime) -> None:
        self.offered.append((dispatch, due_time))

    def jobs_claimed(self, job_ids: Sequence[UUID]) -> None:
        self.removed += job_ids

    def jobs_withdrawn(self, job_ids: Sequence[UUID]) -> None:
        self.removed += job_ids


def a_job(payload: dict[str, Any] | None = None) -> Job:
    return NewJob("compute", {"input": "x"} if payload is None else payload).to_job(ID, NOW)


def requested(payload: dict[str, Any]) -> Job:
    """The job that a Create with this payload asks for."""
    request = job_service_pb2.CreateRequest(type="compute", payload=dict_to_struct(payload))
    return requests.new_job(request).to_job(ID, NOW)


@pytest.fixture
def no_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> int:
        raise AssertionError("the size was known")

    monkeypatch.setattr(payload_size, "least_bytes", fail)


@pytest.mark.parametrize(
    ("change", "is_offered"),
    [
        (lambda job: job, True),
        (lambda job: replace(job, next_attempt_time=LATER), False),
        (lambda job: replace(job, next_attempt_time=NOW), True),
        (lambda job: replace(job, expire_time=NOW), False),
        (lambda job: replace(job, expire_time=LATER), True),
        (lambda job: replace(job, status=Status.PROCESSING), False),
    ],
)
def test_a_job_is_offered_if_it_may_start_now(change: Callable[[Job], Job], is_offered: bool) -> None:
    offers, job = Offers(), change(a_job())
    ReadyJobs(offers, FixedClock()).offer(job, SOON)
    assert offers.offered == ([(Dispatch.of(job), SOON)] if is_offered else [])


@pytest.mark.usefixtures("no_estimate")
def test_the_size_that_the_request_was_checked_with_travels_to_the_queue() -> None:
    payload = {"input": "é" * 100, "numbers": list(range(20))}
    job = requested(payload)
    assert job.payload_size == dict_to_struct(payload).ByteSize()
    assert Dispatch.of(job).payload_size == job.payload_size
    assert not is_large(job)


@pytest.mark.usefixtures("no_estimate")
def test_the_size_of_a_result_travels_with_its_update() -> None:
    result = {"output": "é" * 100}
    request = job_service_pb2.UpdateStatusRequest(
        id=str(ID), status=job_pb2.Job.completed, result=dict_to_struct(result)
    )
    assert requests.update(request).result_size == dict_to_struct(result).ByteSize()


def test_a_payload_too_large_to_travel_is_not_kept() -> None:
    largest = requested({"input": "x" * (MAX_TRAVELLING_BYTES - 19)})
    assert largest.payload_size == MAX_TRAVELLING_BYTES
    assert Dispatch.of(largest).payload == largest.payload
    for larger in (
        requested({"input": "x" * (MAX_TRAVELLING_BYTES - 18)}),
        a_job({"input": "x" * MAX_TRAVELLING_BYTES}),
    ):
        assert (Dispatch.of(larger).payload, Dispatch.of(larger).payload_size) == (None, 0)


def test_a_job_is_large_by_its_payload_or_by_the_document_it_was_read_from() -> None:
    assert is_large(requested({"input": "x" * LARGE}))
    assert is_large(a_job({"input": "x" * LARGE}))
    assert is_large(replace(a_job(), stored_size=LARGE + 1))
    assert not is_large(replace(a_job(), stored_size=LARGE))
