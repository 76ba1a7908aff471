"""Makes, lists and revokes the tokens that an API server accepts (AUTH_MODE=tokens).

    python -m api_server tokens new --role submitter
    python -m api_server tokens list
    python -m api_server tokens revoke ID

They are in the file that AUTH_TOKENS_FILE or `--file` names. Running servers see a change within a second.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contract_runtime.job_types import JOB_TYPE_PATTERN
from contract_runtime.roles import Role
from service_runtime.access.principal import Principal
from service_runtime.access.token_file import append_line, read_tokens
from service_runtime.access.tokens import (
    NAME as NAMES,
)
from service_runtime.access.tokens import (
    StoredToken,
    WrongTokens,
    added_line,
    new_token,
    revoked_line,
)
from service_runtime.settings import WRONG_SETTINGS_STATUS

NAME = "tokens"
VARIABLE = "AUTH_TOKENS_FILE"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST = timedelta(days=3660)


class Refused(Exception):
    """The command cannot do what it was asked for. The message says why."""


def main(arguments: Sequence[str]) -> int:
    """The exit status: 2 for wrong arguments, and if the file cannot be read or written."""
    options = parser().parse_args(arguments)
    try:
        options.run(path_of(options.file), options)
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_SETTINGS_STATUS
    except OSError as error:
        sys.stderr.write(f"{VARIABLE}: {error.filename}: {error.strerror}\n")
        return WRONG_SETTINGS_STATUS
    return 0


def path_of(option: str | None) -> Path:
    """The file with the tokens. Raises Refused."""
    path = option or os.environ.get(VARIABLE)
    if not path:
        raise Refused(f"{VARIABLE}: must name the file with the tokens, or use --file")
    return Path(path)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog=f"python -m api_server {NAME}", description="The tokens that API servers accept."
    )
    command.add_argument("--file", help=f"the file with the tokens; the default is {VARIABLE}")
    commands = command.add_subparsers(required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="make a token and print it; it is not shown again")
    new.add_argument("--role", required=True, choices=[str(role) for role in Role], help="what it may do")
    new.add_argument("--name", help="whose it is; tokens of one name share their jobs. The default is its id")
    new.add_argument("--types", help="for a worker: only jobs of these types, separated by commas")
    new.add_argument("--expires", help="when it ends, from now on: 90d, 12h, 30m or 60s; never by default")
    new.set_defaults(run=make)
    commands.add_parser("list", help="show all tokens, without the secrets").set_defaults(run=show)
    revoke = commands.add_parser("revoke", help="end a token")
    revoke.add_argument("id", help="the token's id, which `list` shows")
    revoke.set_defaults(run=end)
    return command


def make(path: Path, options: argparse.Namespace) -> None:
    """Add a new token, and print it on standard output, alone, so that a shell can keep it."""
    now = datetime.now(UTC)
    role = Role(options.role)
    if options.name is not None and not NAMES.fullmatch(options.name):
        raise Refused("--name: must be 1 to 64 of A-Z a-z 0-9 . _ @ -")
    expire_time = None if options.expires is None else now + lifetime(options.expires)
    types = job_types(options.types, role)
    if path.exists():
        # A line after a broken one would not count.
        stored_tokens(path)
    token, stored = new_token(
        lambda token_id: Principal(options.name or token_id, role, types), now, expire_time
    )
    append_line(path, added_line(stored))
    sys.stdout.write(f"{token}\n")
    until = "it never expires" if expire_time is None else f"it expires at {expire_time:%Y-%m-%d %H:%M} UTC"
    sys.stderr.write(f"token {stored.id} of {stored.principal.name}, role {role}; {until}. Keep it: ")
    sys.stderr.write("it is not shown again.\n")


def show(path: Path, _options: argparse.Namespace) -> None:
    """Print a line for each token."""
    now = datetime.now(UTC)
    for each in stored_tokens(path).values():
        types = ",".join(sorted(each.principal.types)) or "all types"
        expires = "never" if each.expire_time is None else f"{each.expire_time:%Y-%m-%dT%H:%MZ}"
        row = f"{each.id}  {each.principal.role:<9}  {state(each, now):<7}  expires {expires:<17}"
        sys.stdout.write(f"{row}  {each.principal.name}  {types}\n")


def end(path: Path, options: argparse.Namespace) -> None:
    """Revoke a token."""
    if options.id not in stored_tokens(path):
        raise Refused(f"there is no token {options.id!r} in {path}")
    append_line(path, revoked_line(options.id, datetime.now(UTC)))
    sys.stderr.write(f"token {options.id} ends within a second\n")


def stored_tokens(path: Path) -> dict[str, StoredToken]:
    """Raises Refused."""
    try:
        return dict(read_tokens(path))
    except WrongTokens as error:
        raise Refused(f"{VARIABLE}: {path}: {error}") from None


def state(token: StoredToken, now: datetime) -> str:
    if token.revoke_time is not None:
        return "revoked"
    return "valid" if token.is_valid(now) else "expired"


def lifetime(text: str) -> timedelta:
    """Raises Refused."""
    found = re.fullmatch(r"([1-9][0-9]{0,9})([smhd])", text)
    time = timedelta(seconds=int(found[1]) * UNITS[found[2]]) if found else None
    if time is None or time > LONGEST:
        raise Refused(
            f"--expires: {text!r} is not allowed: must be such as 90d, 12h, 30m or 60s, at most 3660d"
        )
    return time


def job_types(text: str | None, role: Role) -> frozenset[str]:
    """Raises Refused."""
    if text is None:
        return frozenset()
    if role is not Role.WORKER:
        raise Refused("--types: goes with --role worker only")
    types = frozenset(part.strip() for part in text.split(","))
    for each in types:
        if not re.fullmatch(JOB_TYPE_PATTERN, each):
            raise Refused(f"--types: {each!r} is not a job type")
    return types
