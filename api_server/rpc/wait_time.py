"""How long a call may wait. Its answer must reach the caller in time."""

import re
from typing import Any

from google.protobuf.duration_pb2 import Duration

from contract_runtime.limits import JOB_SERVICE, waits_of

MARGIN = 0.25
"""Seconds between the end of a wait and the moment when the caller, or the gateway, gives up."""
LIMIT_HEADERS = frozenset(
    waits.limit_header for method in JOB_SERVICE.methods if (waits := waits_of(method)) is not None
)
SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")


def wait_seconds(wait: Duration, context: Any) -> float:
    """Seconds to wait: as long as `wait`, but not beyond the caller's deadline or the gateway's time-out."""
    given_up_after = [
        float(value)
        for name, value in context.invocation_metadata()
        if name in LIMIT_HEADERS and isinstance(value, str) and SECONDS.fullmatch(value)
    ]
    if (left := context.time_remaining()) is not None:
        given_up_after.append(left)
    wanted = wait.seconds + wait.nanos / 1e9
    return max(0.0, min([wanted, *(each - MARGIN for each in given_up_after)]))
