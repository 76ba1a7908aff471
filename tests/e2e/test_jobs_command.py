"""The `jobctl` command against the running system.

It runs in this process, but for what needs one of its own: signals, pipes, terminals and shells.
"""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.jobs_api import create, get, wait_for_status, wait_until_ended
from tests.e2e.jobs_command import COMMAND, environment, output_of, run_jobs
from tests.gate import Gate
from tests.jobctl_program import jobctl_in

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
RED = "\x1b[31mred"


def test_a_job_is_submitted_waited_for_and_shown(stack: Stack, client: httpx.Client) -> None:
    assert json.loads(output_of(stack, "submit", "compute", "input=hello", "--wait")) == {"hash": HELLO}
    job_id = output_of(stack, "submit", "compute", "input=hello", "--label", "team=x").strip()
    wait_until_ended(client, job_id)
    shown = json.loads(output_of(stack, "get", job_id, "-o", "json"))
    rest = client.get(f"/jobs/{job_id}").json()
    assert {name: shown[name] for name in rest} == rest
    assert f"id\t{job_id}" in output_of(stack, "get", job_id)


def test_a_failed_job_is_status_1_and_its_text_is_harmless(stack: Stack) -> None:
    ran = run_jobs(stack, "submit", "broken", "raise=permanent", f"text={RED}", "--wait", "-o", "json")
    assert ran.status == 1
    job = json.loads(ran.stdout)
    assert job["error"]["message"] == RED
    for arguments in (("get", job["id"]), ("log", job["id"]), ("list", "-t", "broken"), ("watch", job["id"])):
        shown = run_jobs(stack, *arguments)
        assert "\x1b" not in shown.stdout + shown.stderr
    assert r"\x1b[31mred" in shown.stderr


def test_a_failed_job_runs_again_in_a_handler_of_this_machine(stack: Stack, client: httpx.Client) -> None:
    payload = json.dumps({"text": "no luck", "mends": True})
    job_id = output_of(stack, "submit", "broken", "--data", payload, "--max-attempts", "1").strip()
    before = wait_until_ended(client, job_id)
    ran = run_jobs(stack, "replay", job_id, "--local")
    assert ran.status == 1
    assert "tests/handlers.py" in ran.stderr
    assert "The handler failed: HANDLER_ERROR: RuntimeError: no luck" in ran.stderr
    assert get(client, job_id) == before


def test_many_jobs_are_submitted_counted_and_retried(stack: Stack) -> None:
    batch = f"batch={uuid4()}"
    lines = "".join(json.dumps({"input": n if n % 3 == 0 else str(n)}) + "\n" for n in range(9))
    ran = run_jobs(stack, "submit", "compute", "--ndjson", "-", "-l", batch, "--wait", stdin=lines)
    assert ran.status == 1
    assert ran.stdout.splitlines()[0] == "6 completed, 3 failed"
    assert "3 INVALID_INPUT" in ran.stdout
    failed = output_of(stack, "list", "-l", batch, "-s", "failed", "--reason", "INVALID_INPUT")
    assert len(failed.splitlines()) == 3
    assert output_of(stack, "retry", "--failed", "-l", batch, "--dry-run") == "would retry 3 jobs\n"
    assert run_jobs(stack, "retry", "--failed", "-l", batch).status == 2
    retried = run_jobs(stack, "retry", "--failed", "-l", batch, "--yes")
    assert (retried.status, retried.stderr) == (0, "3 of 3 jobs queued again\n")


def test_a_log_is_followed_while_the_handler_runs(stack: Stack, client: httpx.Client, gate: Gate) -> None:
    job_id = create(client, "gated", {**gate.payload, "say": RED})["id"]
    following = subprocess.Popen(
        [*COMMAND, "log", job_id, "--follow"], env=environment(stack), stdout=subprocess.PIPE, text=True
    )
    assert following.stdout is not None
    lines = [following.stdout.readline() for _ in range(2)]
    assert get(client, job_id)["status"] == "processing"
    gate.open()
    rest, _ = following.communicate(timeout=60)
    assert [line.split(": ", 1)[1] for line in lines] == [
        f"{word} \\x1b[31mred\n" for word in ("logged", "printed")
    ]
    assert (following.returncode, rest) == (0, "")


def test_ctrl_c_during_a_wait_leaves_the_job_running(stack: Stack, client: httpx.Client, gate: Gate) -> None:
    job_id = create(client, "gated", gate.payload)["id"]
    wait_for_status(client, job_id, "processing")
    waiting = subprocess.Popen(
        [*COMMAND, "watch", job_id],
        env=environment(stack),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the tests in the background lets them ignore SIGINT, and their children too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - the child only runs exec
    )
    assert waiting.stderr is not None
    assert "processing" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    stdout, stderr = waiting.communicate(timeout=60)
    assert (waiting.returncode, stdout) == (130, "")
    assert stderr == f"The job goes on. To wait for it again: jobctl watch {job_id}\n"
    assert get(client, job_id)["status"] == "processing"
    timed_out = run_jobs(stack, "watch", job_id, "--timeout", "100ms")
    assert (timed_out.status, timed_out.stderr.split()[-1]) == (124, job_id)
    gate.open()
    assert json.loads(output_of(stack, "watch", job_id)) == {"attempt": 1}


def test_a_terminal_shows_progress_and_nothing_of_a_job_raw(stack: Stack, gate: Gate) -> None:
    payload = json.dumps({**gate.payload, "progress": [40, f"[bold]half {RED}"]})
    main, terminal = pty.openpty()
    arguments = [*COMMAND, "submit", "gated", "--data", payload, "--wait"]
    variables = {**environment(stack), "TERM": "xterm", "COLUMNS": "120"}
    waiting = subprocess.Popen(arguments, env=variables, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    while b"40 %" not in shown:
        shown += os.read(main, 65536)
    gate.open()
    assert waiting.wait(timeout=60) == 0
    os.close(main)
    text = shown.decode(errors="replace")
    assert r"40 % [bold]half \x1b[31mred" in text
    assert RED not in text


def test_the_states_of_jobs_types_and_workers_are_shown(stack: Stack) -> None:
    job_id = output_of(stack, "submit", UNWORKED).strip()
    assert json.loads(output_of(stack, "why", job_id, "-o", "json"))["reason"] == "no_worker"
    assert output_of(stack, "why", job_id).startswith("No live worker")
    rows = [line.split("\t") for line in output_of(stack, "types").splitlines()]
    assert ["running" in row for row in rows if row[0] == "compute"] == [True]
    assert ["no worker" in row for row in rows if row[0] == UNWORKED] == [True]
    assert "worker-1/" in output_of(stack, "workers")
    assert any(
        each["type"] == UNWORKED for each in json.loads(output_of(stack, "stats", "-o", "json"))["types"]
    )
    watched = output_of(stack, "list", "--watch", "-t", UNWORKED, "--timeout", "1s", "-o", "ndjson")
    assert job_id in {json.loads(line)["id"] for line in watched.splitlines()}
    assert f"{job_id} cancelled" in run_jobs(stack, "cancel", job_id).stderr


def test_a_type_is_stopped_and_started(stack: Stack) -> None:
    change = json.loads(output_of(stack, "stop", "--type", UNWORKED, "-o", "json"))
    assert UNWORKED in change["stoppedTypes"]
    change = json.loads(output_of(stack, "start", "--type", UNWORKED, "-o", "json"))
    assert UNWORKED not in change["stoppedTypes"]


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("get", "01a212ed-8077-7e02-b9cc-e18b1c00cbbf"), 1, "there is no job"),
        (("submit", "no-such-type"), 2, "jobctl: type: must be"),
        (("submit", "compute", "--file", "/no/such/file"), 2, "cannot be read"),
    ],
)
def test_what_goes_wrong_is_a_sentence(
    stack: Stack, arguments: tuple[str, ...], status: int, text: str
) -> None:
    ran = run_jobs(stack, *arguments)
    assert (ran.status, ran.stdout) == (status, "")
    assert text in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_address_where_nobody_listens_is_status_3(stack: Stack) -> None:
    ran = run_jobs(stack, "list", JOBS_URL="http://127.0.0.1:1")
    assert (ran.status, ran.stdout) == (3, "")
    assert "no server answers at 127.0.0.1:1" in ran.stderr
    assert "JOBS_URL" in ran.stderr


# --- Shells ---

COMPLETED = """
eval "$(_JOBCTL_COMPLETE=source_bash jobctl)"
COMP_WORDS=(jobctl submit bl) COMP_CWORD=2
_jobctl_completion jobctl
echo "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the program `jobctl`."""
    folder = tmp_path_factory.mktemp("programs")
    with jobctl_in(folder):
        yield folder


def run_in_bash(script: str, stack: Stack, programs: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**environment(stack), "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_bash_completes_the_types_of_the_server(stack: Stack, programs: Path, tmp_path: Path) -> None:
    ran = run_in_bash(COMPLETED, stack, programs, tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "blockchain blocking\n", "")


# --- The page ---

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "use-the-jobs-command.md"


def blocks() -> list[str]:
    return [part.partition("```")[0] for part in PAGE.read_text().split("```console\n")[1:]]


def test_the_commands_on_the_page_print_what_it_shows(stack: Stack, programs: Path, tmp_path: Path) -> None:
    assert blocks()
    for block in blocks():
        lines = block.splitlines()
        script = "\n".join(line[2:] for line in lines if line.startswith("$ "))
        ran = run_in_bash(script, stack, programs, tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.splitlines() == [line for line in lines if not line.startswith("$ ")], script
