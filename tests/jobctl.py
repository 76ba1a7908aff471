"""Runs the `jobctl` command in this process: a new interpreter would take most of a second of CPU time."""

import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest

from job_client.cli import main


@dataclass(frozen=True)
class Ran:
    """How the command ended, and what it wrote."""

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


def run_here(
    *arguments: str, stdin: str = "", terminal: bool = False, environment: Mapping[str, str] | None = None
) -> Ran:
    """`terminal`: all streams are a terminal of 100 columns. `environment`: None is this process's."""
    stream = Terminal if terminal else io.StringIO
    stdout, stderr = stream(), stream()
    variables = {**(os.environ if environment is None else environment), "COLUMNS": "100", "TERM": "xterm"}
    with (
        mock.patch.dict(os.environ, variables, clear=True),
        mock.patch.object(sys, "stdout", stdout),
        mock.patch.object(sys, "stderr", stderr),
        mock.patch.object(sys, "stdin", Input(stdin, is_terminal=terminal)),
        pytest.raises(SystemExit) as ended,
    ):
        main(arguments)
    return Ran(int(ended.value.code or 0), stdout.getvalue(), stderr.getvalue())
