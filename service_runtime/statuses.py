"""ServiceError as google.rpc.Status, the form in which gRPC and REST callers see it."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from service_runtime.errors import ERROR_DOMAIN, InvalidArgument, ServiceError

# A status travels in HTTP/2 trailers, of which clients and Envoy accept 8 KiB by default.
MAX_MESSAGE = 1000
MAX_VIOLATIONS = 10
MAX_DESCRIPTION = 200


def error_to_status(error: ServiceError) -> Status:
    """The error with its details, cut to what trailers can carry."""
    status = Status(code=error.code, message=_cut(error.message, MAX_MESSAGE))
    for detail in _details(error):
        status.details.add().Pack(detail)
    return status


def _details(error: ServiceError) -> list[Message]:
    if isinstance(error, InvalidArgument):
        return [_bad_request(error)]
    info = error_details_pb2.ErrorInfo(
        reason=error.reason,
        domain=ERROR_DOMAIN,
        metadata={key: _cut(value, MAX_DESCRIPTION) for key, value in error.metadata.items()},
    )
    if error.retry_delay is None:
        return [info]
    delay = Duration(nanos=round(error.retry_delay * 1e9) % 10**9, seconds=int(error.retry_delay))
    return [info, error_details_pb2.RetryInfo(retry_delay=delay)]


def _bad_request(error: InvalidArgument) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field=_cut(violation.field, MAX_DESCRIPTION),
                reason=violation.rule,
                description=_cut(violation.description, MAX_DESCRIPTION),
            )
            for violation in error.violations[:MAX_VIOLATIONS]
        ]
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
