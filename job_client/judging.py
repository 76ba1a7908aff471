"""What a failure means for the items of the call that failed. Pure."""

import re

import grpc

from contract_runtime.errors import Violation
from job_client.errors import JobClientError, invalid_with

PASSING = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
BROKEN_OFF = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
"""What gRPC calls a connection that breaks in the midst of an answer. A server that fails gives a reason."""
ABOUT_CONTENT = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
"""What is in the call may be why it failed."""


def is_passing(error: JobClientError) -> bool:
    """Whether the same, sent again, may succeed. It may have been done already: only what is safe to repeat is sent."""
    return (
        error.code in PASSING
        or error.retry_delay is not None
        or (error.code in BROKEN_OFF and not error.reason)
    )


def is_about_content(error: JobClientError) -> bool:
    """Whether the call may have failed because of one item, so that the others are to be tried without it."""
    return error.code in ABOUT_CONTENT and not is_passing(error)


def culprits(error: JobClientError, field: str) -> dict[int, JobClientError]:
    """By their place in the list `field` of the call: the items that its violations name, each with its own, told as if it had
    been sent alone.
    """
    named: dict[int, list[Violation]] = {}
    pattern = re.compile(rf"{field}\[(\d+)\]\.?(.*)", re.DOTALL)
    for violation in error.violations:
        if found := pattern.fullmatch(violation.field):
            named.setdefault(int(found[1]), []).append(violation._replace(field=found[2]))
    return {index: invalid_with(violations) for index, violations in named.items()}
