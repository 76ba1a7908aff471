"""How a caller proves who it is: a token in the metadata `authorization`."""

import re
from pathlib import Path

AUTHORIZATION = "authorization"
TOKEN = re.compile(r"jobs_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
"""The token's id, which is no secret, and 256 random bits in base64url."""
MAX_TOKEN_FILE = 4096
MAX_TOKEN = 2048
_PRINTABLE = re.compile(rf"[!-~]{{1,{MAX_TOKEN}}}")


class WrongToken(ValueError):
    """A token that no server can accept. The message does not show it."""


def checked_token(text: str, source: str) -> str:
    """The token, without the space around it. `source`: where it comes from, for the message.

    Raises WrongToken. A server may accept tokens of another form than TOKEN, so only the characters are
    checked.
    """
    token = text.strip()
    if not _PRINTABLE.fullmatch(token):
        raise WrongToken(
            f"{source}: a token has 1 to {MAX_TOKEN} printable ASCII characters, without a space"
        )
    return token


def read_token(path: str | Path, source: str) -> str:
    """The token in a file. Raises WrongToken."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_TOKEN_FILE)
        return checked_token(raw.decode(), f"{source}: {path}")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongToken(f"{source}: cannot read {path}: {type(error).__name__}") from None


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a call; empty if there is no token."""
    return ((AUTHORIZATION, f"Bearer {token}"),) if token else ()
