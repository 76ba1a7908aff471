"""The help of each command, and what a start of the command costs."""

import shlex
import subprocess
import sys

import pytest
from typer.main import get_command

from job_client.cli.app import app
from tests.unit.job_client.cli.conftest import Run

COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]  # - a group has them
SLOW = {
    "grpc", "google", "rich", "pydantic", "asyncio", "concurrent.futures", "logging",
    "job_client.errors", "job_client.sync_client", "worker_service",
}  # fmt: skip
WANTED = {
    "submit", "get", "list", "watch", "log", "why", "cancel", "retry", "stats", "types", "workers", "start",
    "stop", "replay", "dev",
}  # fmt: skip


def examples_of(text: str) -> list[str]:
    return [line.strip()[2:] for line in text.splitlines() if line.strip().startswith("$ ")]


def test_all_commands_are_there() -> None:
    assert set(COMMANDS) == WANTED


def test_without_arguments_it_shows_the_help(run: Run) -> None:
    ran = run()
    assert "Submit jobs, follow them, and control the workers." in ran.stdout + ran.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_has_an_example_that_the_command_understands(command: str, run: Run) -> None:
    ran = run(command, "--help")
    assert ran.status == 0
    examples = examples_of(ran.stdout)
    assert examples
    group = get_command(app)
    for example in examples:
        program, name, *arguments = shlex.split(example.partition("|")[0])
        assert (program, name) == ("jobctl", command)
        group.commands[name].make_context(name, arguments)  # type: ignore[attr-defined]  # - a group has them


@pytest.mark.parametrize("command", COMMANDS)
def test_each_line_of_the_list_of_commands_is_a_whole_sentence(command: str, run: Run) -> None:
    [line] = [each for each in run("--help").lines if each.startswith(f"  {command} ")]
    assert line.endswith(".")
    assert not line.endswith("...")


def test_the_help_imports_nothing_slow() -> None:
    program = "import sys; from job_client.cli import app; app.app(['--help'], standalone_mode=False)"
    code = f"{program}\nprint(*sys.modules, file=sys.stderr)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert "Usage" in ran.stdout
    assert SLOW & set(ran.stderr.split()) == set()


def test_without_its_packages_the_command_says_what_to_install() -> None:
    program = "import sys; sys.modules['typer'] = None; from job_client.cli import main; main(['list'])"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.strip().endswith("pip install 'distributed-processing[cli]'")
    assert "Traceback" not in ran.stderr
