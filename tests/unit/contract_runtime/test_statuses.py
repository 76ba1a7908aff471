"""An error that is sent as a status is read back unchanged."""

from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.errors import InvalidArgument, ServiceError, Violation
from contract_runtime.statuses import error_to_status, status_to_error

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
