"""Converts an explanation to the contract's message."""

from api_server.domain.explanation import Explanation
from api_server.domain.obstacles import Cause
from api_server.rpc.answers import timestamp
from job_client._gen.jobs.v1.explain_pb2 import ExplainResponse


def explanation_message(explanation: Explanation) -> ExplainResponse:
    first, *others = explanation.causes
    message = ExplainResponse(
        reason=ExplainResponse.Reason.Value(first.reason.value),
        message=first.message,
        other_causes=map(_cause, others),
        next=explanation.next,
        next_time=timestamp(explanation.next_time),
        worker_id=explanation.worker_id,
        start_time=timestamp(explanation.start_time),
        lease_expire_time=timestamp(explanation.lease_end),
    )
    if explanation.ahead is not None:
        message.ahead = explanation.ahead.count
        message.ahead_capped = explanation.ahead.is_capped
    return message


def _cause(cause: Cause) -> ExplainResponse.Cause:
    return ExplainResponse.Cause(
        reason=ExplainResponse.Reason.Value(cause.reason.value), message=cause.message
    )
