"""Tokens as a server stores them. Pure: token_file.py reads and writes the file.

The file has one JSON object a line. Lines are only ever added:

{"id": ID, "role": ROLE, "name": NAME, "sha256": HEX, "create_time": TIME}
{"id": ID, "revoke_time": TIME}

The second line ends the token of the first. The first can also have `types`, a list, and `expire_time`. Times
are RFC 3339. The file has no token, only their SHA-256: whoever reads it can call nothing.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from contract_runtime.credentials import TOKEN
from contract_runtime.job_types import JOB_TYPE_PATTERN
from contract_runtime.roles import Role
from service_runtime.access.principal import Principal

NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_ID = re.compile(r"[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPE = re.compile(JOB_TYPE_PATTERN)
_NO_HASH = "0" * 64
"""Compared with where there is no token of this id, so that the answer takes the same time."""


class WrongTokens(ValueError):
    """The file cannot be used. The message says why, and has nothing of its content."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """What is known of a token. `expire_time`: from then on it is not valid; None: never."""

    id: str
    principal: Principal
    sha256: str
    create_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        return self.revoke_time is None and (self.expire_time is None or now < self.expire_time)


Tokens = Mapping[str, StoredToken]
"""By id."""


def new_token(
    principal_with: Callable[[str], Principal], now: datetime, expire_time: datetime | None
) -> tuple[str, StoredToken]:
    """A new token, which is stored nowhere, and what is stored of it.

    `principal_with`: gets the token's id, and returns whose token it is.
    """
    token_id = secrets.token_hex(6)
    token = f"jobs_{token_id}_{secrets.token_urlsafe(32)}"
    return token, StoredToken(token_id, principal_with(token_id), _hash(token), now, expire_time)


def principal_of(token: str, tokens: Tokens, now: datetime) -> Principal | None:
    """Whose token it is; None: it is not valid."""
    parts = TOKEN.fullmatch(token)
    stored = tokens.get(parts[1]) if parts else None
    is_same = hmac.compare_digest(_hash(token), stored.sha256 if stored else _NO_HASH)
    return stored.principal if stored and is_same and stored.is_valid(now) else None


def parse(text: str) -> Tokens:
    """The tokens in the text of a file. Raises WrongTokens."""
    tokens: dict[str, StoredToken] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            _add(json.loads(line), tokens)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise WrongTokens(f"line {number} is not a token") from None
    return tokens


def added_line(stored: StoredToken) -> str:
    """The line of a new token."""
    fields: dict[str, Any] = {
        "id": stored.id,
        "role": stored.principal.role,
        "name": stored.principal.name,
        "sha256": stored.sha256,
        "create_time": stored.create_time.isoformat(timespec="seconds"),
    }
    if stored.principal.types:
        fields["types"] = sorted(stored.principal.types)
    if stored.expire_time is not None:
        fields["expire_time"] = stored.expire_time.isoformat(timespec="seconds")
    return json.dumps(fields)


def revoked_line(token_id: str, now: datetime) -> str:
    """The line that ends a token."""
    return json.dumps({"id": token_id, "revoke_time": now.isoformat(timespec="seconds")})


def _add(fields: Any, tokens: dict[str, StoredToken]) -> None:
    """Add what one line says. Raises ValueError, KeyError or TypeError."""
    if not isinstance(fields, dict):
        raise TypeError
    if "revoke_time" in fields:
        known, revoke_time = tokens.get(fields["id"]), _time(fields["revoke_time"])
        if known is not None:  # Otherwise its line was deleted by hand, which ends it too.
            tokens[known.id] = replace(known, revoke_time=revoke_time)
        return
    types: Iterable[str] = fields.get("types", ())
    is_right = (
        _ID.fullmatch(fields["id"])
        and _SHA256.fullmatch(fields["sha256"])
        and NAME.fullmatch(fields["name"])
        and not isinstance(types, str)
        and all(map(_TYPE.fullmatch, types))
        and fields["id"] not in tokens
    )
    if not is_right:
        raise ValueError
    expire_time = fields.get("expire_time")
    tokens[fields["id"]] = StoredToken(
        fields["id"],
        Principal(fields["name"], Role(fields["role"]), frozenset(types)),
        fields["sha256"],
        _time(fields["create_time"]),
        None if expire_time is None else _time(expire_time),
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(text)
    return time.astimezone(UTC)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
