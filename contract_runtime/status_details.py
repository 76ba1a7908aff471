"""Reads a google.rpc.Status: of a failed call, or of one item in an answer."""

import grpc
from google.protobuf.message import DecodeError
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status


def status_of(error: grpc.aio.AioRpcError) -> Status:
    """The status of a failed call, with its details if the server sent any."""
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):  # a proxy has changed the code, so that the details do not fit it
        status = None
    return status or Status(code=error.code().value[0], message=error.details() or "")


def error_info(status: Status) -> ErrorInfo | None:
    """The first ErrorInfo among the details, of any domain."""
    for detail in status.details:
        info = ErrorInfo()
        if detail.Unpack(info):
            return info
    return None


def reason_of(status: Status) -> str:
    """The stable reason, such as ATTEMPT_SUPERSEDED; without one, the name of the code."""
    info = error_info(status)
    return str(info.reason) if info is not None else code_name(status.code)


def code_name(code: int) -> str:
    """The name of a google.rpc.Code, such as NOT_FOUND."""
    return str(Code.Name(code)) if code in Code.values() else str(code)


def asks_for_retry(status: Status) -> bool:
    """Whether the server asks for the same request again, because it is busy."""
    return any(detail.Is(RetryInfo.DESCRIPTOR) for detail in status.details)
