"""Resume tokens of Watch: where the watch was, and which jobs it was about."""

import base64
import binascii
import hashlib
import re
from uuid import UUID

from api_server.domain.changes import WatchFilter
from api_server.services.watch_events import JobPlace
from contract_runtime.errors import InvalidArgument, invalid

_HASH_BYTES = 8
_ONE_JOB, _FILTER = b"j", b"f"
_NUMBER_BYTES = 4
_POSITION = re.compile("82[0-9A-F]{10,1000}")


def encode(resume_from: JobPlace | str | None, wanted: UUID | WatchFilter) -> str:
    """`resume_from`: a place in a watch of one job, else a position; None: the watch cannot be resumed."""
    if resume_from is None:
        return ""
    if isinstance(resume_from, JobPlace):
        where = _ONE_JOB + resume_from.revision.to_bytes(_NUMBER_BYTES)
        if resume_from.log_number is not None:
            where += resume_from.log_number.to_bytes(_NUMBER_BYTES)
    else:
        where = _FILTER + bytes.fromhex(resume_from)
    return base64.urlsafe_b64encode(_fingerprint(wanted) + where).decode().rstrip("=")


def decode_place(token: str, job_id: UUID, *, has_log: bool = False) -> JobPlace:
    """The place in the token of a watch of one job, the begin for an empty token. Raises InvalidArgument.

    `has_log`: whether the place has one in the log: its begin, if the token has none.
    """
    numbers = [0]
    if token:
        kind, where = _decode(token, job_id)
        if kind != _ONE_JOB or len(where) not in (_NUMBER_BYTES, 2 * _NUMBER_BYTES):
            raise _not_ours()
        numbers = [
            int.from_bytes(where[start : start + _NUMBER_BYTES])
            for start in range(0, len(where), _NUMBER_BYTES)
        ]
    revision, log_number = (*numbers, 0)[:2]
    return JobPlace(revision, log_number if has_log else None)


def decode_position(token: str, wanted: WatchFilter) -> str | None:
    """The position in the token of a watch with a filter; None for an empty token. Raises InvalidArgument."""
    if not token:
        return None
    kind, where = _decode(token, wanted)
    position = where.hex().upper()
    if kind != _FILTER or not _POSITION.fullmatch(position):
        raise _not_ours()
    return position


def _decode(token: str, wanted: UUID | WatchFilter) -> tuple[bytes, bytes]:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _not_ours() from None
    if len(raw) <= _HASH_BYTES:
        raise _not_ours()
    if raw[:_HASH_BYTES] != _fingerprint(wanted):
        raise invalid("resume_token", "resume_token.filters", "belongs to a watch of other jobs")
    return raw[_HASH_BYTES : _HASH_BYTES + 1], raw[_HASH_BYTES + 1 :]


def _not_ours() -> InvalidArgument:
    return invalid("resume_token", "resume_token.format", "must be the resume_token of an earlier response")


def _fingerprint(wanted: UUID | WatchFilter) -> bytes:
    if isinstance(wanted, UUID):
        parts: object = wanted
    else:
        parts = (sorted(wanted.statuses), sorted(wanted.types), sorted(wanted.labels.items()))
    return hashlib.sha256(repr(parts).encode()).digest()[:_HASH_BYTES]
