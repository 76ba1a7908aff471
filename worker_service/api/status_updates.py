"""Sends steps of many jobs in one call, and tells for each whether it was taken, refused, or is not known yet."""

from collections import Counter
from collections.abc import Sequence

import grpc
import structlog
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from jobs.v1.job_service_pb2 import BatchUpdateStatusRequest, UpdateOutcome, UpdateStatusRequest
from worker_service.api.client import ApiClient

log = structlog.get_logger()

CALL_SECONDS = 8.0
"""Longer than the API server takes to give up by itself, so that its own answer is heard."""
FINAL_CODES = {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.RESOURCE_EXHAUSTED}
FAULT_CODES = {Code.INTERNAL, Code.UNKNOWN}
"""The server failed in a way that it does not understand; another try may help, or not."""
MOST_FAULTS = 10
CONTENT_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}
"""What is in the call may be why it failed."""


class StatusUpdates:
    """BatchUpdateStatus without exceptions."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._faults: Counter[str] = Counter()
        """How often a job's step, by itself, has met with one of FAULT_CODES."""

    async def send(self, requests: Sequence[UpdateStatusRequest]) -> list[UpdateOutcome | None]:
        """One outcome for each request, in order. None: not known, or not now; send the request again.

        A call that fails because of what is in it is halved until the culprit stands alone. A step that the server fails
        at MOST_FAULTS times counts as refused.
        """
        try:
            response = await self._api.batch_update_status(
                BatchUpdateStatusRequest(requests=requests), CALL_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            return await self._after_failure(requests, error)
        if len(response.outcomes) != len(requests):
            log.error("outcomes_do_not_match", sent=len(requests), received=len(response.outcomes))
            return [None] * len(requests)
        return [
            self._judge(request, outcome)
            for request, outcome in zip(requests, response.outcomes, strict=True)
        ]

    async def _after_failure(
        self, requests: Sequence[UpdateStatusRequest], error: grpc.aio.AioRpcError
    ) -> list[UpdateOutcome | None]:
        status = rpc_status.from_call(error) or Status(code=error.code().value[0], message=error.details())
        if error.code() not in CONTENT_CODES or retry_is_asked_for(status):
            log.warning(
                "status_updates_failed", jobs=len(requests), code=error.code().name, message=error.details()
            )
            return [None] * len(requests)
        if len(requests) == 1:
            return [self._judge(requests[0], UpdateOutcome(error=status))]
        half = len(requests) // 2
        return [*await self.send(requests[:half]), *await self.send(requests[half:])]

    def _judge(self, request: UpdateStatusRequest, outcome: UpdateOutcome) -> UpdateOutcome | None:
        if outcome.HasField("accepted"):
            self._faults.pop(request.id, None)
            return outcome
        if outcome.error.code in FAULT_CODES:
            self._faults[request.id] += 1
            log.warning(
                "status_update_failed",
                job_id=request.id,
                code=Code.Name(outcome.error.code),
                message=outcome.error.message,
                times=self._faults[request.id],
            )
            if self._faults[request.id] < MOST_FAULTS:
                return None
        elif not is_final(outcome):
            return None
        self._faults.pop(request.id, None)
        return outcome


def is_final(outcome: UpdateOutcome) -> bool:
    """Whether sending the same step again would be answered the same."""
    if outcome.WhichOneof("outcome") == "accepted":
        return True
    return outcome.error.code in FINAL_CODES and not retry_is_asked_for(outcome.error)


def retry_is_asked_for(status: Status) -> bool:
    """Whether a server is merely busy."""
    return any(detail.Is(RetryInfo.DESCRIPTOR) for detail in status.details)


def reason_of(status: Status) -> str:
    """The stable reason in a status, or its code's name."""
    for detail in status.details:
        info = ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return str(Code.Name(status.code))
