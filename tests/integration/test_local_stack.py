"""The stack that all other tests stand on: what it starts, kills, freezes and leaves behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo import MongoClient, WriteConcern

from local_stack import mongodb, services
from local_stack.java import Java
from local_stack.kafka_jars import fetch_jars, jars_folder
from local_stack.part import Part, StackError
from local_stack.settings import ROOT, StackSettings
from local_stack.stack import MAKERS, Stack
from tests.waiting import wait_for

DEADLINE = 120.0


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return StackSettings.with_free_ports(tmp_path)


@pytest.fixture
def own(settings: StackSettings) -> Iterator[Stack]:
    """A stack beside the shared one, of which nothing runs."""
    stack = Stack(settings)
    yield stack
    stack.down()


def documents(settings: StackSettings) -> Any:
    client: MongoClient[dict[str, Any]] = MongoClient(mongodb.uri(settings), serverSelectionTimeoutMS=5000)
    return client, client["test"].get_collection("kept", write_concern=WriteConcern("majority"))


@pytest.mark.slow
def test_mongodb_keeps_its_data_across_a_kill_and_a_change_of_port(own: Stack, tmp_path: Path) -> None:
    own.start("mongodb")
    client, kept = documents(own.settings)
    with client:
        kept.insert_one({"_id": 1})
    own.kill("mongodb")
    assert not own.is_running("mongodb")
    moved = Stack(
        own.settings.model_copy(update={"mongodb_port": StackSettings.with_free_ports(tmp_path).mongodb_port})
    )
    moved.start("mongodb")
    client, kept = documents(moved.settings)
    with client:
        assert kept.count_documents({}) == 1
    moved.down()


def test_a_frozen_part_is_told_from_a_running_one(own: Stack) -> None:
    own.start("mongodb")
    pid = own.pid("mongodb")
    for act, state in ((own.freeze, "frozen"), (own.thaw, "running")):
        act("mongodb")
        assert [(part.name, part.pid, part.state) for part in own.status()] == [("mongodb", pid, state)]
    own.freeze("mongodb")
    own.stop("mongodb")
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert own.status() == []


def test_another_process_can_stop_what_this_one_started(own: Stack) -> None:
    own.start("mongodb")
    Stack(own.settings).down()
    assert not own.is_running("mongodb")


def test_a_recycled_pid_is_not_taken_for_the_part(own: Stack, tmp_path: Path) -> None:
    bystander = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        (tmp_path / "state.json").write_text(
            json.dumps(
                {
                    "mongodb-1": {
                        "process": {"pid": bystander.pid, "started": 1.0},
                        "ports": [1],
                        "fingerprints": {},
                    }
                }
            )
        )
        assert [part.state for part in own.status()] == ["stopped"]
        own.down()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.communicate()


def test_a_taken_port_is_named_before_anything_is_started(own: Stack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", own.settings.jobs_port))
        taken.listen()
        with pytest.raises(StackError, match=f"port {own.settings.jobs_port} .*STACK_JOBS_PORT.* is taken"):
            own.up()
    assert own.status() == []


def simple_part(name: str) -> Callable[[StackSettings, int], Part]:
    """A process that only reads `SETTING_OF_name`, and what the settings say about the number of workers."""

    def make(settings: StackSettings, number: int) -> Part:
        configuration = str(settings.workers) if name == "gateway" else ""
        variables = {f"SETTING_OF_{name}"}
        return Part(
            name, number, ("sleep", "300"), {}, lambda: True, variables=variables, configuration=configuration
        )

    return make


@pytest.fixture
def simple(settings: StackSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackSettings]:
    """Settings of stacks whose parts are simple processes."""
    monkeypatch.setattr("local_stack.stack.MAKERS", {name: simple_part(name) for name in MAKERS})
    monkeypatch.setattr(Stack, "_is_reachable", lambda _: True)
    monkeypatch.setattr(Stack, "port", lambda *_: 0)
    yield settings
    Stack(settings).down()


def pids(stack: Stack) -> dict[str, int]:
    return {f"{part.name}-{part.number}": part.pid for part in stack.status()}


def test_up_restarts_the_parts_whose_settings_have_changed_and_no_others(
    simple: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Stack(simple.model_copy(update={"workers": 2})).up()
    before = pids(Stack(simple))
    lines: list[str] = []
    monkeypatch.setenv("SETTING_OF_worker", "new")

    Stack(simple, lines.append).up()

    after = pids(Stack(simple))
    assert after.keys() == before.keys() - {"worker-2"}, "the settings no longer ask for worker-2"
    assert {name for name in after if after[name] != before[name]} == {"worker-1", "gateway-1"}
    said = "\n".join(lines)
    assert "worker-1 restarts, because this changed: SETTING_OF_worker" in said
    assert "gateway-1 restarts, because this changed: configuration" in said


def test_up_in_another_terminal_starts_what_has_died(simple: StackSettings) -> None:
    first = Stack(simple)
    first.up()
    before = pids(first)
    os.killpg(first.pid("api_server"), signal.SIGKILL)
    wait_for(lambda: not first.is_running("api_server"), "the part has died", DEADLINE)

    Stack(simple).up()

    after = pids(first)
    assert {name for name in after if after[name] != before[name]} == {"api_server-1"}
    assert {part.state for part in first.status()} == {"running"}


def test_each_service_is_compared_by_its_own_variables(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fingerprints() -> list[dict[str, str]]:
        return [
            part.fingerprints()
            for part in (
                services.api_server(settings, 1),
                services.worker(settings, 1),
                services.gateway(settings),
            )
        ]

    before = fingerprints()
    monkeypatch.setenv("WORKER_CONCURRENCY", "3")
    api_server, worker, gateway = fingerprints()

    assert [api_server, gateway] == [before[0], before[2]]
    assert worker.items() - before[1].items() == {("WORKER_CONCURRENCY", worker["WORKER_CONCURRENCY"])}


def test_a_setting_of_the_gateway_alone_changes_only_the_gateway(settings: StackSettings) -> None:
    with_origin = settings.model_copy(update={"cors_origins": ("https://example.org",)})
    assert services.gateway(settings).fingerprints() != services.gateway(with_origin).fingerprints()
    assert services.worker(settings, 1).fingerprints() == services.worker(with_origin, 1).fingerprints()


def test_two_processes_on_one_port_are_named_before_anything_is_started(settings: StackSettings) -> None:
    worker_port = settings.api_server_port + 3
    crowded = settings.model_copy(
        update={"api_servers": 2, "api_server_processes": 2, "worker_port": worker_port}
    )
    with pytest.raises(StackError, match=rf"{worker_port} is set twice .*STACK_API_SERVER_PORT \+ 3"):
        Stack(crowded).up()
    assert Stack(crowded).status() == []


def test_two_parts_on_one_port_are_a_wrong_setting(settings: StackSettings) -> None:
    with pytest.raises(ValueError, match=r"STACK_\w+_PORT and STACK_\w+_PORT are both"):
        StackSettings(jobs_port=settings.jobs_port, workers_port=settings.jobs_port)


def test_only_an_api_server_beside_others_waits_until_callers_have_turned_to_them(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, beside_another = settings, settings.model_copy(update={"api_servers": 2})
    assert services.api_server(alone, 1).environment["SHUTDOWN_DELAY"] == "0"
    assert "SHUTDOWN_DELAY" not in services.api_server(beside_another, 1).environment
    monkeypatch.setenv("SHUTDOWN_DELAY", "7")
    assert "SHUTDOWN_DELAY" not in services.api_server(alone, 1).environment


@pytest.mark.slow
def test_what_one_process_holds_another_can_stop_at_once(settings: StackSettings) -> None:
    # The one that started it does not reap it.
    code = f"""
from pathlib import Path
from local_stack.settings import StackSettings
from local_stack.stack import MAKERS, Stack

settings = StackSettings(data_dir=Path({str(settings.data_dir)!r}), mongodb_port={settings.mongodb_port})
Stack(settings).start("mongodb")
print("up", flush=True)
input()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        Stack(settings).down()
        assert Stack(settings).status() == []
    finally:
        holder.communicate("\n")


def test_a_part_that_ends_while_starting_is_shown_with_its_log(own: Stack) -> None:
    with pytest.raises(StackError, match=r"JOB_TYPES: 'Bad' is not allowed"):
        own.start("api_server", 1, {"JOB_TYPES": "Bad"})


@pytest.mark.slow
def test_run_shows_the_demo_stays_and_leaves_nothing_behind_on_ctrl_c(settings: StackSettings) -> None:
    ports = {f"STACK_{name.upper()}": str(value) for name, value in settings if name.endswith("_port")}
    environment = {**os.environ, **ports, "STACK_DATA_DIR": str(settings.data_dir)}
    output = settings.data_dir / "output"
    with output.open("w") as file:
        command = [sys.executable, "-m", "local_stack", "run"]
        run = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        wait_for(lambda: "Ctrl-C stops everything" in output.read_text() or run.poll() is not None)
        assert "Every job came out right." in output.read_text()
        started = psutil.Process(run.pid).children(recursive=True)
        assert len(started) >= 5
        run.send_signal(signal.SIGINT)
        assert run.wait(DEADLINE) == 0
    finally:
        run.kill()
        run.wait()
    _, alive = psutil.wait_procs(started, timeout=5)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_ctrl_c_while_starting_ends_what_was_started_and_shows_no_trace(settings: StackSettings) -> None:
    ports = {f"STACK_{name.upper()}": str(value) for name, value in settings if name.endswith("_port")}
    environment = {**os.environ, **ports, "STACK_DATA_DIR": str(settings.data_dir)}
    state = settings.data_dir / "state.json"
    run = subprocess.Popen(
        [sys.executable, "-m", "local_stack", "run"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: state.exists() and "mongodb-1" in state.read_text())
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=DEADLINE)
    assert "Traceback" not in output
    assert Stack(settings).status() == []


@pytest.mark.slow
def test_java_ignores_stored_classes_that_do_not_fit(tmp_path: Path) -> None:
    cache = StackSettings().cache_dir
    fetch_jars(cache)
    jars = tmp_path / "jars"
    jars.symlink_to(jars_folder(cache))
    java = Java(jars)
    [output] = [each for each in java.storing_command("P") if each.startswith("-XX:AOTCacheOutput=")]
    Path(output.partition("=")[2]).write_text("no classes")
    java.keep_stored()

    done = subprocess.run(
        java.command("kafka.tools.StorageTool", "random-uuid"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert len(done.stdout.strip()) == len("bG9jYWwtc3RhY2stMDAwMQ")
    assert "[aot]" not in done.stderr
