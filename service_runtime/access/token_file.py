"""The file with the tokens that a server accepts. A change counts within a second, without a restart."""

import errno
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from service_runtime.access.principal import Principal
from service_runtime.access.tokens import Tokens, WrongTokens, parse, principal_of

log = structlog.get_logger()

CHECK_SECONDS = 1.0
MAX_BYTES = 1024 * 1024
"""About 4,000 tokens. The file is read between two calls, which must not wait long."""
OWNER_ONLY = 0o600


class TokenFile:
    """Reads the file again when it has changed. While it cannot be read, the last good state counts."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._state: tuple[int, int, int] | None = None
        """Of the file that was read last, also if it was wrong."""
        self._tokens: Tokens = {}
        self._next_check = 0.0
        self._is_wrong = False

    def load(self) -> None:
        """Read the file for the first time. Raises WrongTokens."""
        self._state = _state_of(self._path)
        self._tokens = read_tokens(self._path)
        self._next_check = self._clock() + CHECK_SECONDS

    def principal_of(self, token: str) -> Principal | None:
        """Whose token it is; None: it is not valid."""
        now = self._clock()
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self._reload()
        return principal_of(token, self._tokens, datetime.now(UTC))

    def _reload(self) -> None:
        try:
            # Before it is read: a change while it is read is seen the next time.
            state = _state_of(self._path)
            if state == self._state and not self._is_wrong:
                return
            tokens = read_tokens(self._path)
        except WrongTokens as error:
            if not self._is_wrong:
                self._is_wrong = True
                log.error(  # noqa: TRY400 - the message says all; there is no fault in the program
                    "tokens_not_read",
                    file=str(self._path),
                    problem=str(error),
                    consequence="the tokens as they were before go on to count",
                )
            return
        self._state, self._tokens, self._is_wrong = state, tokens, False
        log.info("tokens_read", file=str(self._path), count=len(tokens))


def read_tokens(path: Path) -> Tokens:
    """Raises WrongTokens."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise WrongTokens(f"it cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise WrongTokens(f"it is larger than {MAX_BYTES} bytes")
    try:
        return parse(raw.decode())
    except UnicodeDecodeError:
        raise WrongTokens("it is not UTF-8") from None


def append_line(path: Path, line: str) -> None:
    """Add a line, in one write. A new file can be read by its owner only.

    Raises OSError, also if the file would be larger than servers read.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, OWNER_ONLY)
    try:
        size = os.fstat(descriptor).st_size
        begins_line = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
        added = f"{'' if begins_line else chr(10)}{line}\n".encode()
        if size + len(added) > MAX_BYTES:
            raise OSError(
                errno.EFBIG, "the file is full; delete the lines of tokens that have ended", str(path)
            )
        os.write(descriptor, added)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _state_of(path: Path) -> tuple[int, int, int]:
    """Differs after each change of the file. Raises WrongTokens."""
    try:
        found = path.stat()
    except OSError as error:
        raise WrongTokens(f"it cannot be read: {error.strerror}") from None
    return found.st_mtime_ns, found.st_size, found.st_ino
