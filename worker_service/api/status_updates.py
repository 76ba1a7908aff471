"""Sends the status updates of many jobs in one call, and returns the outcome of each."""

from collections import Counter
from collections.abc import Sequence

import structlog
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from contract_runtime.status_details import asks_for_retry
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchUpdateStatusRequest,
    UpdateOutcome,
    UpdateStatusRequest,
)
from worker_service.api.client import ApiClient
from worker_service.api.errors import ApiCallFailed

log = structlog.get_logger()

CALL_SECONDS = 8.0
"""Longer than the 4 s for which the API server tries to write, so that its answer still arrives."""
FINAL_CODES = {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.RESOURCE_EXHAUSTED}
FAULT_CODES = {Code.INTERNAL, Code.UNKNOWN}
"""The server failed for a reason that it does not know. Another try may help."""
MAX_FAULTS = 10
CONTENT_CODES = {Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNKNOWN}
"""The call may have failed because of one item in it."""


class StatusUpdates:
    """Calls BatchUpdateStatus. Raises nothing: a failure is part of the outcomes."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._faults: Counter[str] = Counter()
        """How often the update of a job, sent alone, has failed with one of FAULT_CODES."""

    async def send(self, requests: Sequence[UpdateStatusRequest]) -> list[UpdateOutcome | None]:
        """One outcome for each request, in order. None: the outcome is unknown; send the request again.

        A call that may have failed because of one request is split into halves until that request is alone. A
        request that fails MAX_FAULTS times by a fault of the server counts as refused.
        """
        try:
            response = await self._api.batch_update_status(
                BatchUpdateStatusRequest(requests=requests), CALL_SECONDS
            )
        except ApiCallFailed as error:
            return await self._retry_or_halve(requests, error)
        if len(response.outcomes) != len(requests):
            log.error("outcomes_do_not_match", sent=len(requests), received=len(response.outcomes))
            return [None] * len(requests)
        return [
            self._final_or_none(request, outcome)
            for request, outcome in zip(requests, response.outcomes, strict=True)
        ]

    async def _retry_or_halve(
        self, requests: Sequence[UpdateStatusRequest], error: ApiCallFailed
    ) -> list[UpdateOutcome | None]:
        if error.code not in CONTENT_CODES or asks_for_retry(error.status):
            log.warning(
                "status_updates_failed", jobs=len(requests), code=error.code_name, message=error.message
            )
            return [None] * len(requests)
        if len(requests) == 1:
            return [self._final_or_none(requests[0], UpdateOutcome(error=error.status))]
        half = len(requests) // 2
        return [*await self.send(requests[:half]), *await self.send(requests[half:])]

    def _final_or_none(self, request: UpdateStatusRequest, outcome: UpdateOutcome) -> UpdateOutcome | None:
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
            if self._faults[request.id] < MAX_FAULTS:
                return None
        elif not is_final(outcome.error):
            return None
        self._faults.pop(request.id, None)
        return outcome


def is_final(error: Status) -> bool:
    """Whether the same request, sent again, would get the same answer."""
    return error.code in FINAL_CODES and not asks_for_retry(error)
