"""An update that makes the server fail delays no other update, and is not sent for ever."""

from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchUpdateStatusRequest,
    BatchUpdateStatusResponse,
    UpdateAccepted,
    UpdateOutcome,
    UpdateStatusRequest,
)
from tests.unit.worker_service.job_service_fake import Call, api_of
from worker_service.api.status_updates import MAX_FAULTS, StatusUpdates, is_final

POISON = "poison"


def faulty(code: grpc.StatusCode) -> Mapping[str, Call]:
    """A server that fails each call that contains POISON."""

    async def update(request: BatchUpdateStatusRequest, context: Any) -> BatchUpdateStatusResponse:
        if any(each.id == POISON for each in request.requests):
            await context.abort(code, "a fault")
        accepted = UpdateOutcome(accepted=UpdateAccepted(attempt=1))
        return BatchUpdateStatusResponse(outcomes=[accepted for _ in request.requests])

    return {"BatchUpdateStatus": update}


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
async def test_an_update_that_makes_the_server_fail_is_tried_a_few_times_and_then_counts_as_refused(
    code: grpc.StatusCode,
) -> None:
    requests = [UpdateStatusRequest(id=name) for name in ("a", "b", POISON, "c", "d")]
    async with api_of(faulty(code)) as api:
        updates = StatusUpdates(api)
        rounds = [await updates.send(requests) for _ in range(MAX_FAULTS)]

    for outcomes in rounds:
        assert [outcome and outcome.accepted.attempt for outcome in (*outcomes[:2], *outcomes[3:])] == [1] * 4
    assert [outcomes[2] for outcomes in rounds[:-1]] == [None] * (MAX_FAULTS - 1)
    last = rounds[-1][2]
    assert last is not None
    assert last.error.code == (Code.INTERNAL if code is grpc.StatusCode.INTERNAL else Code.UNKNOWN)


async def test_an_unavailable_server_is_never_taken_for_a_refusal() -> None:
    async with api_of(faulty(grpc.StatusCode.UNAVAILABLE)) as api:
        updates = StatusUpdates(api)
        for _ in range(MAX_FAULTS + 1):
            assert await updates.send([UpdateStatusRequest(id=POISON)]) == [None]


@pytest.mark.parametrize("code", [Code.FAILED_PRECONDITION, Code.NOT_FOUND, Code.RESOURCE_EXHAUSTED])
def test_a_refusal_that_would_be_the_same_again_is_final(code: int) -> None:
    assert is_final(Status(code=code))


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.INTERNAL, Code.DEADLINE_EXCEEDED])
def test_a_server_in_trouble_has_given_no_final_answer(code: int) -> None:
    assert not is_final(Status(code=code))


def test_a_server_that_is_merely_busy_has_given_no_final_answer() -> None:
    status = Status(code=Code.RESOURCE_EXHAUSTED)
    status.details.add().Pack(RetryInfo())

    assert not is_final(status)
