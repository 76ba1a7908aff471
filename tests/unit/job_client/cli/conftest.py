"""Runs the command in this process, with a fake client."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from job_client.cli import main, session
from tests.unit.job_client.cli.fake_client import FakeClient


@dataclass(frozen=True)
class Ran:
    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Input(io.TextIOWrapper):
    def __init__(self, text: str, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(text.encode()), "utf-8")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


Run = Callable[..., Ran]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()
    monkeypatch.setattr(session, "make_client", lambda: client)
    return client


@pytest.fixture
def run(client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> Run:  # noqa: ARG001 - it is set up
    """Runs the command. `terminal`: whether all streams are a terminal of 100 columns."""

    def run(*arguments: str, stdin: str = "", terminal: bool = False) -> Ran:
        stream = Terminal if terminal else io.StringIO
        stdout, stderr = stream(), stream()
        with monkeypatch.context() as patch:
            patch.setenv("COLUMNS", "100")
            patch.setenv("TERM", "xterm")
            patch.setattr(sys, "stdout", stdout)
            patch.setattr(sys, "stderr", stderr)
            patch.setattr(sys, "stdin", Input(stdin, is_terminal=terminal))
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        return Ran(int(ended.value.code or 0), stdout.getvalue(), stderr.getvalue())

    return run
