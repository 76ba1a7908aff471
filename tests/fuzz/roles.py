"""Stand-ins for values that are known only while the system runs: ids of jobs, page tokens.

An input names a job by its role, with an id that is always the same, so that an example means the same in every run and
can be replayed. Just before it is sent, bytes are put in place of bytes: a stand-in is as long as what it stands for, so
that not even a length in a protobuf message changes.
"""

from enum import Enum

WORKER_NAME, WORKER_ID = "fuzz", "fuzz/1"
"""A worker of the tests' own, registered; it holds the jobs that are held."""
OTHER_WORKER_ID = "fuzz/2"
"""Another one, which is not registered."""
ABSENT_JOB = "0198f0a0-0000-7000-8000-000000000000"
"""A job that does not exist."""


class JobRole(Enum):
    """A job in a certain place of its life; the number makes its stand-in."""

    QUEUED = 1
    HELD = 2  # by WORKER_ID, at attempt 1
    TAKEN = 3  # without a worker's name
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
        """Stands for the same id in upper case."""
        return f"00000000-0000-7000-8000-0000000000A{self.value}"


NEW_IDS = tuple(f"00000000-0000-7000-8000-0000000000B{number}" for number in range(4))
"""Stand for ids that clients may choose for new jobs."""
PAGE_TOKEN = "page-token-of-a-list-of-all-jobs"  # noqa: S105 - no secret
"""Stands for the next_page_token of a List without filters."""

# In UTF-8 both have three bytes. Python keeps the second out of strings that it encodes.
SURROGATE = "\ue000"
"""Stands for a lone surrogate, which no valid UTF-8 has."""
REAL_SURROGATE = b"\xed\xa0\x80"


def put_in_place(raw: bytes, actual: dict[str, str]) -> bytes:
    """`raw` with what stand-ins stand for, as far as `actual` has it."""
    for stand_in, value in actual.items():
        raw = raw.replace(stand_in.encode(), value.encode())
    return raw.replace(SURROGATE.encode(), REAL_SURROGATE)
