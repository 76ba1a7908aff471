"""ServiceError as google.rpc.Status, the form in which gRPC and REST callers see it; and the way back."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from contract_runtime.errors import ERROR_DOMAIN, InvalidArgument, ServiceError, Violation

# A status travels in HTTP/2 trailers, of which clients take 8 KiB by default: the message once as text, percent-encoded,
# and once more with the details in base64.
MAX_MESSAGE = 1000
MAX_TEXT = 200
MAX_DETAILS = 3000
"""Bytes; a text's bytes are those of its percent-encoded form."""
MAX_VIOLATIONS = 10


def error_to_status(error: ServiceError) -> Status:
    """The error with its details, cut to what trailers can carry."""
    status = Status(code=error.code, message=_cut(error.message, MAX_MESSAGE))
    for detail in _details(error):
        status.details.add().Pack(detail)
    return status


def status_to_error(status: Status) -> ServiceError | None:
    """What a service here told another, less the delay for trying again. None: the status is nobody's here."""
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(request):
            return InvalidArgument(
                [Violation(told.field, told.reason, told.description) for told in request.field_violations]
            )
        if detail.Unpack(info) and info.domain == ERROR_DOMAIN:
            error = ServiceError(status.message, info.metadata)
            error.code, error.reason = status.code, info.reason
            return error
    return None


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
        told = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field, MAX_TEXT),
            reason=violation.rule,
            description=_cut(violation.description, MAX_TEXT),
        )
        if details.ByteSize() + told.ByteSize() > MAX_DETAILS:
            break
        details.field_violations.append(told)
    return details


def _cut(text: str, limit: int) -> str:
    """The text, or its beginning, so that it has at most `limit` bytes when percent-encoded."""
    size = 0
    for index, character in enumerate(text):
        plain = " " <= character <= "~" and character != "%"
        size += 1 if plain else 3 * len(character.encode())
        if size > limit:
            return text[:index] + "…"
    return text
