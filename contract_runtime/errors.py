"""Failures that a caller sees, independent of the transport.

ServiceError
├── InvalidArgument     the request is wrong; names each field and the rule that it breaks
└── (domain errors of each service)
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from google.rpc.code_pb2 import Code

ERROR_DOMAIN = "jobs.v1"


class ServiceError(Exception):
    """A failure with a gRPC code, a stable `reason` for programs and a message for people.

    `metadata` goes into ErrorInfo. `retry_delay` (seconds), if set, goes into RetryInfo.
    """

    code: Code = Code.INTERNAL
    reason: str = "INTERNAL"

    def __init__(
        self, message: str, metadata: Mapping[str, str] | None = None, retry_delay: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_delay = retry_delay


class Violation(NamedTuple):
    """A rule that a field breaks. `field` is a path such as `requests[3].id`."""

    field: str
    rule: str
    description: str


class InvalidArgument(ServiceError):
    """Fields of the request break rules of the contract."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(
            "; ".join(f"{v.field}: {v.description}" if v.field else v.description for v in violations)
        )
        self.violations = tuple(violations)


def invalid(field: str, rule: str, description: str) -> InvalidArgument:
    """The error for one field that breaks one rule."""
    return InvalidArgument([Violation(field, rule, description)])
