"""`jobctl replay` and `jobctl dev`."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

import job_client
from job_client.cli.commands import local
from tests.unit.job_client.cli.conftest import Run
from tests.unit.job_client.cli.fake_client import ID, FakeClient, make_job

HANDLERS = "tests.unit.job_client.cli.replayed_handlers"


def test_the_payload_runs_in_a_handler_of_this_machine(client: FakeClient, run: Run) -> None:
    client.jobs[ID] = make_job(type="greet", payload={"name": "you"}, status="failed", attempt=3)
    ran = run("replay", ID, "--local", "--handlers", HANDLERS)
    assert (ran.status, ran.json) == (0, {"greeting": "hello you", "attempt": 3})
    assert "printed" in ran.stderr
    assert [name for name, _ in client.calls] == ["get"]


def test_an_async_handler_runs_too_and_its_progress_is_shown(client: FakeClient, run: Run) -> None:
    client.jobs[ID] = make_job(type="greet-later", payload={"name": "you"})
    ran = run("replay", ID, "--local", "--handlers", HANDLERS, terminal=True)
    assert json.loads(ran.stdout) == {"greeting": "hello you"}
    assert "50 % half" in ran.stderr


def test_the_modules_come_from_the_worker_s_setting(
    client: FakeClient, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.jobs[ID] = make_job(type="greet", payload={"name": "you"})
    monkeypatch.setenv("WORKER_HANDLERS", f"{HANDLERS},")
    assert run("replay", ID, "--local").status == 0


def test_a_failing_handler_is_status_1_with_its_trace(client: FakeClient, run: Run) -> None:
    client.jobs[ID] = make_job(type="greet", payload={"fail": "\x1b[31m"})
    ran = run("replay", ID, "--local", "--handlers", HANDLERS)
    assert (ran.status, ran.stdout) == (1, "")
    assert "replayed_handlers.py" in ran.stderr
    assert "The handler failed: HANDLER_ERROR: RuntimeError: \\x1b[31m" in ran.stderr
    assert "\x1b" not in ran.stderr


def test_a_result_that_is_no_object_fails_as_in_a_worker(client: FakeClient, run: Run) -> None:
    client.jobs[ID] = make_job(type="no-object", payload={})
    assert "INVALID_RESULT" in run("replay", ID, "--local", "--handlers", HANDLERS).stderr


def test_the_debugger_stops_at_the_first_line_of_the_handler(client: FakeClient, run: Run) -> None:
    for job_type in ("greet", "greet-later"):
        client.jobs[ID] = make_job(type=job_type, payload={"name": "you"})
        ran = run(
            "replay", ID, "--local", "--handlers", HANDLERS, "--debug", stdin="p payload_name(job)\nc\n"
        )
        assert ran.status == 0
        assert "first line" in ran.stdout
        assert "'you'" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "say --local"),
        (("--local",), "there is no handler for 'greet' here; name its module"),
        (("--local", "--handlers", "no_such_module"), "cannot be imported"),
        (("--local", "--handlers", "json"), "has no handler"),
    ],
)
def test_what_is_missing_is_named(
    arguments: tuple[str, ...], text: str, client: FakeClient, run: Run
) -> None:
    client.jobs[ID] = make_job(type="greet", payload={})
    ran = run("replay", ID, *arguments)
    assert ran.status == 2
    assert text in ran.stderr


def test_without_the_worker_s_packages_it_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "job_client.cli.replay", raising=False)
    monkeypatch.delattr("job_client.cli.replay", raising=False)
    monkeypatch.setitem(sys.modules, "structlog", None)
    for name in [name for name in sys.modules if name.startswith("worker_service")]:
        monkeypatch.delitem(sys.modules, name)
    ran = run("replay", ID, "--local")
    assert (ran.status, ran.stderr) == (2, f"{local.NEEDS_WORKER}\n")


def make_project(folder: Path) -> Path:
    (folder / "local_stack").mkdir()
    (folder / "proto" / "jobs").mkdir(parents=True)
    (folder / "Makefile").touch()
    return folder


def test_dev_starts_make_run_in_the_project(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def execute(_path: str, arguments: list[str]) -> None:
        started.append(arguments)

    project = make_project(tmp_path)
    (project / "deep" / "below").mkdir(parents=True)
    monkeypatch.chdir(project / "deep" / "below")
    monkeypatch.setattr(os, "execv", execute)
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/make")
    run("dev")
    assert started == [["/usr/bin/make", "-C", str(project), "run"]]


def test_dev_says_what_to_do_elsewhere(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_client, "__file__", str(tmp_path / "site-packages" / "x.py"))
    ran = run("dev")
    assert ran.status == 2
    assert "run `jobctl dev` in a clone of the project" in ran.stderr


def test_dev_needs_make(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_project(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    ran = run("dev")
    assert ran.status == 2
    assert "install it" in ran.stderr
