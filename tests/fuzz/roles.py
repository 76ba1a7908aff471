"""Stand-ins for values that are known only while the system runs: ids of jobs and page tokens.

An input names a job by its role, with a constant id. So an example means the same in each run and can be
replayed. The stand-ins are replaced just before the input is sent. A stand-in is as long as its value, so
that no length in a protobuf message changes.
"""

from enum import Enum

WORKER_NAME, WORKER_ID = "fuzz", "fuzz/1"
"""A registered worker of the tests. It holds the jobs with the role HELD."""
OTHER_WORKER_ID = "fuzz/2"
"""A worker that is not registered."""
ABSENT_JOB = "0198f0a0-0000-7000-8000-000000000000"
"""A job that does not exist."""


class JobRole(Enum):
    """A job in a certain state. The number is part of its stand-in."""

    QUEUED = 1
    HELD = 2  # by WORKER_ID, at attempt 1
    CLAIMED_UNNAMED = 3  # by a claim without a worker's name
    HANDED_BACK = 4  # queued at attempt 1
    COMPLETED = 5
    FAILED = 6
    CANCELLED = 7
    SCHEDULED = 8
    FINISHED = 9  # of a type that the real worker handles; it may be in any status

    @property
    def stand_in(self) -> str:
        return f"00000000-0000-7000-8000-00000000000{self.value}"

    @property
    def upper_case(self) -> str:
        """The stand-in for the same id in upper case."""
        return f"00000000-0000-7000-8000-0000000000A{self.value}"


NEW_IDS = tuple(f"00000000-0000-7000-8000-0000000000B{number}" for number in range(4))
"""Stand-ins for ids that clients may choose for new jobs."""
OPERATION = "00000000-0000-7000-8000-0000000000C0"
"""The stand-in for the id of an operation that changes no job."""
PAGE_TOKEN = "page-token-of-a-list-of-all-jobs"  # noqa: S105 - not a secret
"""The stand-in for the next_page_token of a List without filters."""

# Both have three bytes in UTF-8. Python refuses to encode a lone surrogate.
SURROGATE = "\ue000"
"""The stand-in for a lone surrogate, which valid UTF-8 does not contain."""
REAL_SURROGATE = b"\xed\xa0\x80"


def put_in_place(raw: bytes, actual: dict[str, str]) -> bytes:
    """Replace the stand-ins in `raw` that are in `actual`, and surrogates."""
    for stand_in, value in actual.items():
        raw = raw.replace(stand_in.encode(), value.encode())
    return raw.replace(SURROGATE.encode(), REAL_SURROGATE)
