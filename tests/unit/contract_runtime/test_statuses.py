"""An error that is sent as a status is read back unchanged."""

import grpc
import pytest
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.errors import ERROR_DOMAIN, InvalidArgument, ServiceError, Violation
from contract_runtime.statuses import (
    StatusDetails,
    call_status,
    decode_status,
    error_to_status,
    status_to_error,
)

TEXTS = st.text(max_size=20)


@given(st.sampled_from(Code.values()), TEXTS, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_an_error_is_read_as_it_was_written(
    code: "Code", reason: str, message: str, metadata: dict[str, str]
) -> None:
    error = ServiceError(message, metadata)
    error.code, error.reason = code, reason

    read = status_to_error(error_to_status(error))

    assert read is not None
    assert (read.code, read.reason, read.message, read.metadata) == (code, reason, message, metadata)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=3))
def test_violations_are_read_as_they_were_written(parts: list[tuple[str, str, str]]) -> None:
    error = InvalidArgument([Violation(*each) for each in parts])

    read = status_to_error(error_to_status(error))

    assert isinstance(read, InvalidArgument)
    assert (read.violations, read.message) == (error.violations, error.message)


def test_a_status_of_another_program_is_not_read() -> None:
    foreign = Status(code=Code.NOT_FOUND)
    foreign.details.add().Pack(ErrorInfo(reason="GONE", domain="example.org"))

    assert status_to_error(foreign) is None
    assert status_to_error(Status(code=Code.UNAVAILABLE, message="connection refused")) is None


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


def failed_call(*trailers: tuple[str, bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), "gone"
    )


def test_the_status_of_a_call_is_the_one_in_its_trailers() -> None:
    status = Status(code=Code.NOT_FOUND, message="gone")
    status.details.add().Pack(ErrorInfo(reason="GONE", domain="example.org"))

    assert call_status(failed_call(("grpc-status-details-bin", status.SerializeToString()))) == status


@pytest.mark.parametrize(
    "trailers",
    [
        [],
        [("grpc-status-details-bin", b"\xff")],
        [("grpc-status-details-bin", Status(code=Code.INTERNAL, message="other").SerializeToString())],
    ],
    ids=["none", "not a status", "of another code"],
)
def test_a_call_without_fitting_details_has_the_status_of_the_call(trailers: list[tuple[str, bytes]]) -> None:
    assert call_status(failed_call(*trailers)) == Status(code=Code.NOT_FOUND, message="gone")
