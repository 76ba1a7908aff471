"""Errors made from a server's status, and what they mean for the items of a call."""

import grpc
import pytest
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status as StatusMessage

from contract_runtime.errors import ServiceError, invalid
from contract_runtime.statuses import error_to_status
from job_client import InvalidArgument, JobClientError, Violation
from job_client.errors import (
    errors_by_index,
    from_status,
    invalid_with,
    is_transient,
    may_be_caused_by_one_item,
)


@pytest.mark.parametrize(
    ("code", "reason", "delay", "transient", "caused_by_item"),
    [
        ("UNAVAILABLE", "", None, True, False),
        ("UNAVAILABLE", "DATABASE_UNAVAILABLE", 1.0, True, False),
        ("DEADLINE_EXCEEDED", "SERVER_DEADLINE_EXCEEDED", None, True, False),
        ("CANCELLED", "", None, True, False),
        ("RESOURCE_EXHAUSTED", "OVERLOADED", 1.0, True, False),
        ("RESOURCE_EXHAUSTED", "ANSWER_TOO_LARGE", None, False, True),
        ("RESOURCE_EXHAUSTED", "", None, False, True),
        ("INVALID_ARGUMENT", "INVALID_ARGUMENT", None, False, True),
        ("INTERNAL", "INTERNAL", None, False, True),
        ("INTERNAL", "", None, True, False),
        ("UNKNOWN", "", None, True, False),
        ("ALREADY_EXISTS", "JOB_ID_TAKEN", None, False, False),
        ("NOT_FOUND", "JOB_NOT_FOUND", None, False, False),
        ("UNAUTHENTICATED", "", None, False, False),
        ("PERMISSION_DENIED", "", None, False, False),
        ("UNIMPLEMENTED", "", None, False, False),
    ],
)
def test_transient_errors_are_told_from_permanent_ones(
    code: str, reason: str, delay: float | None, transient: bool, caused_by_item: bool
) -> None:
    error = JobClientError("words", code=grpc.StatusCode[code], reason=reason, retry_delay=delay)
    assert (is_transient(error), may_be_caused_by_one_item(error)) == (transient, caused_by_item)


def test_each_item_gets_only_its_own_violations() -> None:
    error = invalid_with(
        [
            Violation("requests[3].id", "uuid", "must be"),
            Violation('requests[12].labels["a"]', "pattern", "must match"),
            Violation("requests[3].type", "min_len", "must have"),
            Violation("requests[4]", "message", "must agree"),
            Violation("requests", "max_items", "must be fewer"),
            Violation("other[5].id", "uuid", "must be"),
            Violation("", "decode", "is no message"),
        ]
    )
    named = errors_by_index(error, "requests")
    assert {index: each.violations for index, each in named.items()} == {
        3: (Violation("id", "uuid", "must be"), Violation("type", "min_len", "must have")),
        12: (Violation('labels["a"]', "pattern", "must match"),),
        4: (Violation("", "message", "must agree"),),
    }
    assert str(named[3]) == "INVALID_ARGUMENT: id: must be; type: must have"


class Busy(ServiceError):
    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"


def test_an_error_has_all_details_of_its_status() -> None:
    error = from_status(error_to_status(Busy("wait", {"id": "x"}, retry_delay=1.25)))
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (error.reason, error.metadata, error.retry_delay) == ("OVERLOADED", {"id": "x"}, 1.25)
    wrong = from_status(error_to_status(invalid("type", "type.known", "must be one of a, b")))
    assert isinstance(wrong, InvalidArgument)
    assert wrong.violations == (Violation("type", "type.known", "must be one of a, b"),)
    assert wrong.reason == "INVALID_ARGUMENT"


def test_a_status_without_details_or_with_an_unknown_code_is_an_error() -> None:
    bare = from_status(StatusMessage(code=Code.UNAVAILABLE, message="away"))
    assert (str(bare), bare.reason, bare.violations) == ("UNAVAILABLE: away", "", ())
    assert from_status(StatusMessage(code=99)).code is grpc.StatusCode.UNKNOWN
