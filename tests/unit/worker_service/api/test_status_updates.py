"""A step that the server fails at holds up no other step, and is not sent for ever."""

from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from google.rpc.code_pb2 import Code

from jobs.v1.job_service_pb2 import (
    BatchUpdateStatusRequest,
    BatchUpdateStatusResponse,
    UpdateAccepted,
    UpdateOutcome,
    UpdateStatusRequest,
)
from tests.unit.worker_service.job_service_fake import Call, api_of
from worker_service.api.status_updates import MOST_FAULTS, StatusUpdates

POISON = "poison"


def faulty(code: grpc.StatusCode) -> Mapping[str, Call]:
    """A server that fails at each call with POISON in it."""

    async def update(request: BatchUpdateStatusRequest, context: Any) -> BatchUpdateStatusResponse:
        if any(step.id == POISON for step in request.requests):
            await context.abort(code, "a fault")
        accepted = UpdateOutcome(accepted=UpdateAccepted(attempt=1))
        return BatchUpdateStatusResponse(outcomes=[accepted for _ in request.requests])

    return {"BatchUpdateStatus": update}


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
async def test_what_the_server_fails_at_is_tried_some_more_and_then_counts_as_refused(
    code: grpc.StatusCode,
) -> None:
    steps = [UpdateStatusRequest(id=name) for name in ("a", "b", POISON, "c", "d")]
    async with api_of(faulty(code)) as api:
        updates = StatusUpdates(api)
        rounds = [await updates.send(steps) for _ in range(MOST_FAULTS)]

    for outcomes in rounds:
        assert [outcome and outcome.accepted.attempt for outcome in (*outcomes[:2], *outcomes[3:])] == [1] * 4
    assert [outcomes[2] for outcomes in rounds[:-1]] == [None] * (MOST_FAULTS - 1)
    last = rounds[-1][2]
    assert last is not None
    assert last.error.code == (Code.INTERNAL if code is grpc.StatusCode.INTERNAL else Code.UNKNOWN)


async def test_an_unavailable_server_is_never_taken_for_a_refusal() -> None:
    async with api_of(faulty(grpc.StatusCode.UNAVAILABLE)) as api:
        updates = StatusUpdates(api)
        for _ in range(MOST_FAULTS + 1):
            assert await updates.send([UpdateStatusRequest(id=POISON)]) == [None]
