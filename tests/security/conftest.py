"""A system that asks for tokens, beside the shared one."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contract_runtime.roles import Role
from local_stack.settings import StackSettings
from local_stack.stack import Stack
from service_runtime.access.principal import Principal
from service_runtime.access.token_file import append_line
from service_runtime.access.tokens import added_line, new_token, revoked_line
from tests.conftest import API_SERVER, WORKER
from tests.fork_server import ForkServer

OWN_PORTS = ("api_server_port", "worker_port", "jobs_port", "workers_port")


@dataclass(frozen=True)
class Guarded:
    """The system, and a token for each role."""

    stack: Stack
    tokens_file: Path
    tokens: Mapping[str, str]
    """By role; "typed" is a worker's that is limited to the type data, "other" another submitter's."""
    invalid: Mapping[str, str]
    """Tokens that do not count: never made, expired and revoked."""

    def new(self, *arguments: str) -> str:
        """A token that the command makes."""
        return self._command("new", *arguments)

    def revoke(self, token: str) -> None:
        self._command("revoke", token.split("_")[1])

    def _command(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "api_server", "tokens", "--file", str(self.tokens_file)]
        run = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
        return run.stdout.strip()


@pytest.fixture(scope="session")
def guarded(
    shared_stack: Stack, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    shared_stack.up()
    folder = tmp_path_factory.mktemp("guarded")
    file = folder / "tokens.jsonl"
    tokens = {str(role): add(file, Principal(f"the-{role}", role)) for role in Role}
    tokens["typed"] = add(file, Principal("typed", Role.WORKER, frozenset({"data"})))
    tokens["other"] = add(file, Principal("other", Role.SUBMITTER))
    invalid = {
        "unknown": new_token(lambda _: Principal("x", Role.OPERATOR), datetime.now(UTC), None)[0],
        "expired": add(file, Principal("old", Role.OPERATOR), timedelta(seconds=-1)),
        "revoked": add(file, Principal("gone", Role.OPERATOR)),
    }
    append_line(file, revoked_line(invalid["revoked"].split("_")[1], datetime.now(UTC)))

    free = StackSettings.with_free_ports(folder)
    ports = {name: getattr(free, name) for name in OWN_PORTS}
    changed = {"data_dir": free.data_dir, "api_servers": 1, "workers": 1, **ports}
    stack = Stack(shared_stack.settings.model_copy(update=changed), spawn=fork_server.spawn)
    access = {"AUTH_MODE": "tokens", "LOG_LEVEL": "debug"}
    stack.set_environment("api_server", 1, {**API_SERVER, **access, "AUTH_TOKENS_FILE": str(file)})
    worker = {"WORKER_NAME": "guarded", "WORKER_TOKEN": tokens["worker"], "LOG_FORMAT": "console"}
    stack.set_environment("worker", 1, {**WORKER, **access, **worker})
    try:
        for part in ("api_server", "worker", "gateway"):
            stack.start(part)
        yield Guarded(stack, file, tokens, invalid)
    finally:
        stack.down()


def add(file: Path, principal: Principal, lifetime: timedelta | None = None) -> str:
    now = datetime.now(UTC)
    token, stored = new_token(lambda _: principal, now, None if lifetime is None else now + lifetime)
    append_line(file, added_line(stored))
    return token
