"""The session of a worker in a call's metadata."""

import hashlib

from api_server.rpc.requests import Metadata
from contract_runtime.errors import invalid

HEADER = "worker-session"
MIN_LENGTH, MAX_LENGTH = 32, 255


def session_hash(metadata: Metadata) -> str:
    """The hash of the worker's session in the call's metadata; "": there is none. Raises InvalidArgument."""
    values = [value for name, value in metadata if name == HEADER]
    if not values:
        return ""
    value = values[0]
    if len(values) > 1 or not isinstance(value, str):
        raise invalid(HEADER, "session.single", "must be sent once, as text")
    if not MIN_LENGTH <= len(value) <= MAX_LENGTH:
        rule = f"must be {MIN_LENGTH} to {MAX_LENGTH} characters, has {len(value)}"
        raise invalid(HEADER, "session.length", rule)
    return hashlib.sha256(value.encode()).hexdigest()
