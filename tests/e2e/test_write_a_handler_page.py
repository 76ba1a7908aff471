"""The test with the whole system in docs/howto/write-a-handler.md passes with the page's handler."""

import re
from pathlib import Path
from typing import Any

import pytest

from local_stack.stack import Stack
from tests.e2e.readers_worker import readers_worker
from tests.fork_server import ForkServer

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "write-a-handler.md").read_text()


def test_the_page_s_test_passes_with_the_page_s_fixture(
    stack: Stack, fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(module, handlers)] = re.findall(r"Save this as `(\w+)\.py`.*?```python\n(.*?)```", PAGE, re.DOTALL)
    section = PAGE.partition("### With the whole system\n")[2]
    fixture, test = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[:2]
    (tmp_path / f"{module}.py").write_text(handlers)
    monkeypatch.syspath_prepend(tmp_path)
    asked: list[str] = []

    def note(handlers: str) -> None:
        asked.append(handlers)

    # The shared system stands for the fixture's, which would take seconds to start.
    monkeypatch.setattr("local_stack.testing.local_stack_fixture", note)
    names: dict[str, Any] = {}
    exec(fixture, names)  # noqa: S102 - the page's own code
    exec(test, names)  # noqa: S102 - the page's own code

    [found] = [each for name, each in names.items() if name.startswith("test_")]
    with readers_worker(stack, fork_server, tmp_path, asked[0]):
        found(system=stack.endpoints)
    assert "system" in names
