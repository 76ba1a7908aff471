"""Converts ServiceError to google.rpc.Status, which gRPC and REST clients get, and back."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from contract_runtime.errors import ERROR_DOMAIN, InvalidArgument, ServiceError
from contract_runtime.status_details import decode_status

# A status travels in HTTP/2 trailers, which may have 8 KiB by default. The message is in them twice: as
# percent-encoded text, and in base64 together with the details.
MAX_MESSAGE = 1000
MAX_TEXT = 200
MAX_DETAILS = 3000
"""In bytes. A text counts in its percent-encoded form."""
MAX_VIOLATIONS = 10


def error_to_status(error: ServiceError) -> Status:
    """The status of an error, cut to what trailers can carry."""
    status = Status(code=error.code, message=_cut(error.message, MAX_MESSAGE))
    for detail in _details(error):
        status.details.add().Pack(detail)
    return status


def status_to_error(status: Status) -> ServiceError | None:
    """The ServiceError that another service sent, without its retry delay.

    None: the status was not made by a service of this project.
    """
    details = decode_status(status)
    if details.violations:
        return InvalidArgument(details.violations)
    if details.domain != ERROR_DOMAIN:
        return None
    error = ServiceError(status.message, details.metadata)
    error.code, error.reason = status.code, details.reason
    return error


def _details(error: ServiceError) -> list[Message]:
    if isinstance(error, InvalidArgument):
        return [_bad_request(error)]
    info = error_details_pb2.ErrorInfo(
        reason=error.reason,
        domain=ERROR_DOMAIN,
        metadata={key: _cut(value, MAX_TEXT) for key, value in error.metadata.items()},
    )
    if error.retry_delay is None:
        return [info]
    delay = Duration(nanos=round(error.retry_delay * 1e9) % 10**9, seconds=int(error.retry_delay))
    return [info, error_details_pb2.RetryInfo(retry_delay=delay)]


def _bad_request(error: InvalidArgument) -> error_details_pb2.BadRequest:
    details = error_details_pb2.BadRequest()
    for violation in error.violations[:MAX_VIOLATIONS]:
        detail = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field, MAX_TEXT),
            reason=violation.rule,
            description=_cut(violation.description, MAX_TEXT),
        )
        if details.ByteSize() + detail.ByteSize() > MAX_DETAILS:
            break
        details.field_violations.append(detail)
    return details


def _cut(text: str, limit: int) -> str:
    """Cut the text so that it has at most `limit` bytes when percent-encoded."""
    size = 0
    for index, character in enumerate(text):
        plain = " " <= character <= "~" and character != "%"
        size += 1 if plain else 3 * len(character.encode())
        if size > limit:
            return text[:index] + "…"
    return text
