"""The fields of a job in the contract, each declared once.

A job is converted in three places: to and from its document in MongoDB, to the answer of the API server, and
from that answer to the Python client's job. Each place has one converter for each kind, and applies it to all
fields of the kind. So a field of a known kind is added here, in the contract, in the domain, in the client's
class and in the docs, and nowhere else.
"""

from collections.abc import Mapping
from enum import Enum, auto


class Kind(Enum):
    """What values a field has. Times are aware, UTC, in milliseconds."""

    ID = auto()
    STATUS = auto()
    TEXT = auto()
    """A string; "" if absent."""
    NUMBER = auto()
    """A whole number of 32 bits; 0 if absent."""
    TIME = auto()
    DURATION = auto()
    OBJECT = auto()
    """A JSON object."""
    LABELS = auto()
    ERROR = auto()
    RETRY_POLICY = auto()
    HISTORY = auto()
    PROGRESS = auto()
    NOTIFY = auto()


FIELDS: Mapping[str, Kind] = {
    "id": Kind.ID,
    "type": Kind.TEXT,
    "status": Kind.STATUS,
    "payload": Kind.OBJECT,
    "result": Kind.OBJECT,
    "error": Kind.ERROR,
    "attempt": Kind.NUMBER,
    "revision": Kind.NUMBER,
    "worker_id": Kind.TEXT,
    "labels": Kind.LABELS,
    "create_time": Kind.TIME,
    "update_time": Kind.TIME,
    "start_time": Kind.TIME,
    "end_time": Kind.TIME,
    "retry_policy": Kind.RETRY_POLICY,
    "failures": Kind.NUMBER,
    "losses": Kind.NUMBER,
    "history": Kind.HISTORY,
    "schedule_time": Kind.TIME,
    "expire_time": Kind.TIME,
    "timeout": Kind.DURATION,
    "next_attempt_time": Kind.TIME,
    "progress": Kind.PROGRESS,
    "notify": Kind.NOTIFY,
}
"""The kind of each field, in the order of the contract."""


OF_AN_ANSWER = frozenset({"warnings"})
"""Fields of the contract that belong to the answer of Create, not to the job. They are not in the table."""


def names_of(*kinds: Kind) -> tuple[str, ...]:
    """The fields of these kinds, in the order of the contract."""
    return tuple(name for name, kind in FIELDS.items() if kind in kinds)
