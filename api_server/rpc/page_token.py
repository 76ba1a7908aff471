"""The opaque token of a List page: the id after which the next page begins, and the filters and the order
that it belongs to.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from uuid import UUID

from api_server.domain.listing import JobFilter
from contract_runtime.errors import InvalidArgument, invalid

_HASH_BYTES = 8


def encode(next_after: UUID, wanted: JobFilter, oldest_first: bool = False) -> str:
    raw = next_after.bytes + _fingerprint(wanted, oldest_first)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(token: str, wanted: JobFilter, oldest_first: bool = False) -> UUID | None:
    """The id after which the page begins; None for an empty token.

    Raises InvalidArgument if the token is not ours, or belongs to other filters or to the other order.
    """
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _not_ours() from None
    if len(raw) != 16 + _HASH_BYTES:
        raise _not_ours()
    if raw[16:] != _fingerprint(wanted, oldest_first):
        problem = "belongs to other filters, or to another order, than the request's"
        raise invalid("page_token", "page_token.filters", problem)
    return UUID(bytes=raw[:16])


def _not_ours() -> InvalidArgument:
    return invalid("page_token", "page_token.format", "must be the next_page_token of an earlier page")


def _fingerprint(wanted: JobFilter, oldest_first: bool) -> bytes:
    """The same for equal filters, in each process. It covers every field of the filter."""
    parts = [(each.name, _in_order(getattr(wanted, each.name))) for each in fields(wanted)]
    return hashlib.sha256(repr((parts, oldest_first)).encode()).digest()[:_HASH_BYTES]


def _in_order(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted(value.items())
    return sorted(value) if isinstance(value, frozenset) else value
