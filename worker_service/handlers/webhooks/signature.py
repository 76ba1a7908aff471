"""Secrets, and the signature of a webhook as the Standard Webhooks specification defines it. Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64
RULE = f"must be {PREFIX} followed by {MIN_BYTES} to {MAX_BYTES} random bytes in base64"


def secret_bytes(text: str) -> bytes:
    """The key in a secret. Raises ValueError, whose text does not have the secret."""
    if not text.startswith(PREFIX):
        raise ValueError(RULE)
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(RULE) from None
    if not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise ValueError(RULE)
    return key


def signatures(keys: Sequence[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each key, so that receivers can change theirs."""
    content = f"{webhook_id}.{timestamp}.".encode() + body
    digests = (hmac.new(key, content, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
