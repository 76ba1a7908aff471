"""Log lines on a terminal: no text of strangers controls it, and traces show no values."""

import json
from typing import Any

import pytest

from service_runtime import logging as service_logging
from service_runtime.logging import render_line

CANARY = "correct-horse"
HOSTILE = "\x1b]0;owned\x07\x9b31m\r\u202e\n2026 [error] forged"


def console(event: dict[str, Any], *, colors: bool = False) -> str:
    return render_line(service_logging._console(colors=colors), event)


def as_json(event: dict[str, Any]) -> str:
    return render_line(json.dumps, event)


@pytest.mark.parametrize("render", [console, as_json])
@pytest.mark.parametrize(
    "event",
    [
        {"event": HOSTILE},
        {"event": "worker_registered", "host": HOSTILE},
        {"event": "worker_registered", HOSTILE: "host"},
        {"event": "worker_registered", "inside": [HOSTILE, {HOSTILE: HOSTILE}]},
        {"event": "worker_registered", "logger": HOSTILE, "level": "info"},
    ],
    ids=["event", "value", "key", "inside", "logger"],
)
def test_characters_that_control_a_terminal_are_escaped(render: Any, event: dict[str, Any]) -> None:
    line = render(event)

    assert not [each for each in line if each in "\x1b\x07\x9b\r\n\u202e"]
    assert "x1b" in line or "u001b" in line


def test_a_trace_keeps_its_lines_and_nothing_else_that_controls_a_terminal() -> None:
    line = console({"event": "failed", "exc_info": ValueError("first\n\x1b[31msecond")})

    assert "\n" in line
    assert "\x1b" not in line
    assert "\\x1b[31msecond" in line


@pytest.mark.parametrize("render", [console, as_json])
def test_a_trace_shows_no_values_of_variables(render: Any) -> None:
    def connect(uri: str) -> None:
        raise RuntimeError(f"no database among {len(uri)}")

    try:
        connect(f"mongodb://user:{CANARY}@host")
    except RuntimeError as error:
        line = render({"event": "failed", "exc_info": error})

    assert "no database among" in line
    assert CANARY not in line
