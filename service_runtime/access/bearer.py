"""The token in the metadata of a call."""

from collections.abc import Sequence
from typing import Any

from contract_runtime.credentials import AUTHORIZATION, MAX_TOKEN
from service_runtime.access.refusals import TokenInvalid, TokenMissing

SCHEME = "bearer "


def bearer_token(metadata: Sequence[tuple[str, Any]] | None) -> str:
    """Raises TokenMissing, and TokenInvalid if there are two headers, or another scheme.

    With two headers, a proxy and this server could each take another one to count.
    """
    values = [value for name, value in metadata or () if name == AUTHORIZATION]
    if not values:
        raise TokenMissing
    [value, *others] = values
    if others or not isinstance(value, str) or value[: len(SCHEME)].lower() != SCHEME:
        raise TokenInvalid
    token = value[len(SCHEME) :].strip(" ")
    if not token or len(token) > MAX_TOKEN or not token.isascii():
        raise TokenInvalid
    return token
