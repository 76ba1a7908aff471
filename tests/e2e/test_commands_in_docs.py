"""Each curl and grpcurl command in the docs is run as it stands, with the addresses of the test's system.

A job in a command is a new one, so the state of the job may refuse the call (409), and an id that is written
out does not exist (404). The call itself must be right.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from local_stack.stack import Stack
from tests.conftest import READERS_TYPES, UNWORKED

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
BEGIN = re.compile(r"^(?:\$ )?(?=(?:grp)?curl )")
STATUS = "HTTP status: "
IS_WATCH = ":watch"
TIMED_OUT = 28
"""curl's exit status."""
FITTING = {200, 201, 404, 409}
OF_READERS = re.compile(f'"(?:{"|".join(READERS_TYPES)})"')


class Command(NamedTuple):
    page: str
    text: str


def commands() -> Iterator[Command]:
    for page in (*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"):
        for block in FENCED.findall(page.read_text(encoding="utf-8")):
            for text in _commands_in(block):
                yield Command(str(page.relative_to(ROOT)), text)


def _commands_in(block: str) -> Iterator[str]:
    """A command ends where its line does, unless a quote is open or a backslash ends the line."""
    lines = iter(block.splitlines())
    for line in lines:
        if not BEGIN.match(line):
            continue
        text = BEGIN.sub("", line)
        while text.endswith("\\") or text.count("'") % 2:
            text += "\n" + next(lines)
        yield text


COMMANDS = list(commands())


@pytest.fixture(scope="module", autouse=True)
def _started_again(stack: Stack) -> Iterator[None]:
    yield
    httpx.post(f"{stack.endpoints.workers_url}/start", timeout=20).raise_for_status()


@pytest.fixture
def job_id(jobs: httpx.Client) -> str:
    found: str = jobs.post("/jobs", json={"type": UNWORKED, "payload": {}}).json()["id"]
    return found


def run(command: Command, stack: Stack, job_id: str) -> subprocess.CompletedProcess[str]:
    text = OF_READERS.sub(f'"{UNWORKED}"', command.text.replace("/ID", f"/{job_id}"))
    for port, address in ((3000, stack.endpoints.jobs_address), (4000, stack.endpoints.workers_address)):
        text = re.sub(rf"(127\.0\.0\.1|localhost):{port}\b", address, text)
    # What is piped to another program gets no status.
    shown = "--fail" if "|" in text else f"--write-out '\\n{STATUS}%{{http_code}}\\n'"
    # A watch does not end.
    text = re.sub(r"^curl ", f"curl --max-time {1 if IS_WATCH in text else 30} {shown} ", text)
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {text}"], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: f"{each.page}: {each.text[:80]}")
def test_a_command_in_the_docs_is_a_right_call(stack: Stack, job_id: str, command: Command) -> None:
    for program in re.findall(r"\b(?:grpcurl|curl|jq)(?= )", command.text):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")

    ended = run(command, stack, job_id)

    assert ended.returncode in ((0, TIMED_OUT) if IS_WATCH in command.text else (0,)), ended.stderr
    if STATUS in ended.stdout:
        assert int(ended.stdout.rpartition(STATUS)[2]) in FITTING, ended.stdout


def test_commands_are_found() -> None:
    assert {"docs/quickstart.md", "docs/reference/api.md", "README.md"} < {each.page for each in COMMANDS}
    assert len(COMMANDS) > 25
