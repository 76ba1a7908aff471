"""The opaque token of a List page: the id after which the next page begins, and the filters that it belongs
to.
"""

import base64
import binascii
import hashlib
from uuid import UUID

from api_server.domain.listing import JobFilter
from contract_runtime.errors import InvalidArgument, invalid

_HASH_BYTES = 8


def encode(next_after: UUID, wanted: JobFilter) -> str:
    return base64.urlsafe_b64encode(next_after.bytes + _fingerprint(wanted)).decode().rstrip("=")


def decode(token: str, wanted: JobFilter) -> UUID | None:
    """The id after which the page begins; None for an empty token.

    Raises InvalidArgument if the token is not ours, or belongs to other filters.
    """
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _not_ours() from None
    if len(raw) != 16 + _HASH_BYTES:
        raise _not_ours()
    if raw[16:] != _fingerprint(wanted):
        raise invalid("page_token", "page_token.filters", "belongs to other filters than the request's")
    return UUID(bytes=raw[:16])


def _not_ours() -> InvalidArgument:
    return invalid("page_token", "page_token.format", "must be the next_page_token of an earlier page")


def _fingerprint(wanted: JobFilter) -> bytes:
    parts = (
        wanted.status,
        wanted.type,
        sorted(wanted.labels.items()),
        wanted.created_from,
        wanted.created_before,
    )
    return hashlib.sha256(repr(parts).encode()).digest()[:_HASH_BYTES]
