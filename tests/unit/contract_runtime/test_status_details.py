"""What a status says: its stable reason, its code's name, and whether the server asks for a retry."""

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from contract_runtime.errors import ERROR_DOMAIN, ServiceError, Violation
from contract_runtime.status_details import (
    StatusDetails,
    asks_for_retry,
    call_status,
    code_name,
    decode_status,
    reason_of,
)
from contract_runtime.statuses import error_to_status


def packed(message: Message) -> AnyMessage:
    detail = AnyMessage()
    detail.Pack(message)
    return detail


def failed_call(*trailers: tuple[str, bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details="no such job"
    )


def test_the_reason_is_the_stable_one_or_else_the_name_of_the_code() -> None:
    info = ErrorInfo(reason="ATTEMPT_SUPERSEDED")

    assert reason_of(Status(code=9, details=[packed(BadRequest()), packed(info)])) == "ATTEMPT_SUPERSEDED"
    assert reason_of(Status(code=9)) == "FAILED_PRECONDITION"


def test_all_details_of_a_status_are_decoded() -> None:
    status = error_to_status(ServiceError("busy", {"id": "x"}, retry_delay=1.25))
    status.details.add().Pack(
        BadRequest(field_violations=[BadRequest.FieldViolation(field="a", reason="r", description="d")])
    )
    status.details.add().Pack(Status(message="a detail of no known kind"))

    details = decode_status(status)

    assert details == StatusDetails(
        "INTERNAL", ERROR_DOMAIN, {"id": "x"}, (Violation("a", "r", "d"),), retry_delay=1.25
    )
    assert decode_status(Status(code=Code.UNAVAILABLE)) == StatusDetails()


def test_a_code_that_nobody_knows_is_named_by_its_number() -> None:
    assert (code_name(Code.UNAVAILABLE), code_name(99)) == ("UNAVAILABLE", "99")


def test_only_a_retry_info_asks_for_a_retry() -> None:
    assert asks_for_retry(Status(code=8, details=[packed(ErrorInfo()), packed(RetryInfo())]))
    assert not asks_for_retry(Status(code=8, details=[packed(ErrorInfo())]))


@pytest.mark.parametrize(
    "trailers",
    [
        [],
        [("grpc-status-details-bin", b"\xff")],
        [("grpc-status-details-bin", Status(code=Code.INTERNAL, message="another").SerializeToString())],
    ],
    ids=["no details", "details that cannot be decoded", "details of another code"],
)
def test_a_call_without_usable_details_has_the_status_of_its_code_and_message(
    trailers: list[tuple[str, bytes]],
) -> None:
    assert call_status(failed_call(*trailers)) == Status(code=Code.NOT_FOUND, message="no such job")


def test_a_call_with_details_has_these() -> None:
    status = Status(code=Code.NOT_FOUND, message="no such job", details=[packed(ErrorInfo(reason="GONE"))])

    assert call_status(failed_call(("grpc-status-details-bin", status.SerializeToString()))) == status
