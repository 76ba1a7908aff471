"""A reader who follows docs/tutorial.md sees what it shows, in the terminal and in the dashboard.

Each step of the page is done in its order. `…` in the output on the page stands for any text. An address is
opened. Words in bold are seen on the open page, or clicked after "click".
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from local_stack.stack import Stack
from tests.e2e.jobs_command import environment
from tests.e2e.readers_worker import readers_worker
from tests.fork_server import ForkServer
from tests.jobctl_program import jobctl_in
from tests.waiting import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
STEP = re.compile(
    r"as\s+`(?P<file>[\w.]+)`[^`]*?:\n\n```\w+\n(?P<content>.*?)```"
    r"|```console\n(?P<commands>.*?)```"
    r"|<http://127\.0\.0\.1:3000(?P<open>/ui/[^>]*)>"
    r"|[Cc]lick \*\*(?P<click>.*?)\*\*"
    r"|(?P<id>Click the job's id)"
    r"|\*\*(?P<seen>.*?)\*\*",
    re.DOTALL,
)
SET_UP = {
    "git clone ADDRESS jobs",
    "cd jobs",
    "make up",
    "make down",
    "python3 -m venv ../jobs-client",
    'export PATH="$PWD/../jobs-client/bin:$PATH"',
    "pip install --quiet '.[cli]'",
}
"""The shared system and the programs in `bin` stand for these. In tests/integration, test_distribution.py
installs the package, and test_local_stack.py has `make up` after a change.
"""
HANDLERS = "export WORKER_HANDLERS="


class Reader:
    """Does the steps of the page in a folder."""

    def __init__(self, stack: Stack, fork_server: ForkServer, page: Page, folder: Path) -> None:
        self._stack, self._fork_server, self._page, self._folder = stack, fork_server, page, folder
        self._latest_id = ""
        self.workers = ExitStack()

    async def do(self, kind: str, step: re.Match[str]) -> None:
        text = step[kind]
        if kind == "content":
            (self._folder / step["file"]).write_text(self._here(text))
        elif kind == "commands":
            for command, output in commands_in(text):
                await self._run(command, output)
        elif kind == "open":
            await self._page.goto(text)
        elif kind == "click":
            await self._page.get_by_role("button", name=text, exact=True).click()
        elif kind == "id":
            await self._page.get_by_label(re.compile(r"^Job \w")).first.click()
        else:
            # The filters beside a list have the words of all statuses.
            is_list = "/ui/jobs?" in self._page.url
            place = self._page.get_by_label("List of jobs") if is_list else self._page
            await expect(place.get_by_text(re.compile(re.escape(text))).first).to_be_visible()

    async def _run(self, command: str, output: str) -> None:
        if command in SET_UP:
            return
        if command.startswith(HANDLERS):
            module = command.removeprefix(HANDLERS)
            self.workers.enter_context(readers_worker(self._stack, self._fork_server, self._folder, module))
            return
        expected = re.compile(".*".join(map(re.escape, output.split("…"))))
        printed = ""

        async def prints() -> bool:
            nonlocal printed
            printed = await asyncio.to_thread(self._output_of, command)
            return expected.fullmatch(printed) is not None

        if "/ID" in command:
            await until(prints, f"{command} prints {output}")
        else:
            assert await prints(), f"{command} prints {printed}"
        if found := re.search(r'"id":"([\w-]+)"', printed):
            self._latest_id = found[1]

    def _here(self, text: str) -> str:
        """With the address of the test's system."""
        return text.replace("127.0.0.1:3000", self._stack.endpoints.jobs_address)

    def _output_of(self, command: str) -> str:
        """What a terminal shows."""
        ran = subprocess.run(
            ["bash", "-c", self._here(command).replace("/ID", f"/{self._latest_id}")],
            cwd=self._folder,
            env={**environment(self._stack), "PATH": f"{self._folder / 'bin'}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return ran.stdout.strip("\n")


def commands_in(block: str) -> Iterator[tuple[str, str]]:
    """Each command with the output that follows it."""
    for part in f"\n{block}".split("\n$ ")[1:]:
        command, _, output = part.partition("\n")
        yield command, output.strip("\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As the reader's clone, with the programs that the reader installs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    monkeypatch.syspath_prepend(tmp_path)
    with jobctl_in(programs):
        yield tmp_path


def test_no_snippet_of_the_page_is_left_out() -> None:
    steps = list(STEP.finditer(PAGE))
    assert sum(step.lastgroup in {"content", "commands"} for step in steps) == PAGE.count("```") / 2
    assert sum(step.lastgroup == "open" for step in steps) == PAGE.count("<http://127.0.0.1:3000/ui/")
    commands = {command for step in steps for command, _ in commands_in(step["commands"] or "")}
    assert commands >= SET_UP


async def test_each_step_shows_what_the_page_says(
    stack: Stack, fork_server: ForkServer, page: Page, folder: Path
) -> None:
    reader = Reader(stack, fork_server, page, folder)
    with reader.workers:
        for step in STEP.finditer(PAGE):
            await reader.do(str(step.lastgroup), step)
