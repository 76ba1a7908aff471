"""The stack for users' tests. tests/conftest.py starts one by `running_stack`."""

import os
from pathlib import Path

import pytest

from local_stack.endpoints import Endpoints
from local_stack.services import PYTHON_PATH
from local_stack.settings import MAX_REPLICAS, StackSettings
from local_stack.stack import Stack
from local_stack.testing import environments_of, local_stack


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Stack]]:
    """What a stack is told, which starts nothing."""
    told: list[tuple[str, Stack]] = []

    def up(stack: Stack) -> None:
        stack.settings.data_dir.joinpath("data").touch()
        told.append(("up", stack))

    monkeypatch.setattr(Stack, "up", up)
    monkeypatch.setattr(Stack, "down", lambda stack: told.append(("down", stack)))
    return told


def test_a_stack_is_started_on_free_ports_in_a_folder_of_its_own(events: list[tuple[str, Stack]]) -> None:
    with local_stack(JOB_LEASE="3") as endpoints:
        [(_, stack)] = events
        assert endpoints == stack.endpoints
        assert isinstance(endpoints, Endpoints)
        assert stack.settings.data_dir.joinpath("data").exists()
    usual = StackSettings()
    assert stack.settings.data_dir != usual.data_dir
    assert stack.settings.jobs_port != usual.jobs_port


def test_it_is_stopped_and_its_folder_is_removed_after_a_failed_test(
    events: list[tuple[str, Stack]],
) -> None:
    def run() -> None:
        with local_stack():
            raise RuntimeError("the test fails")

    with pytest.raises(RuntimeError, match="the test fails"):
        run()
    assert [name for name, _ in events] == ["up", "down"]
    assert not events[0][1].settings.data_dir.exists()


def test_it_is_stopped_when_it_cannot_start(
    events: list[tuple[str, Stack]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def up(_stack: Stack) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Stack, "up", up)
    with pytest.raises(KeyboardInterrupt), local_stack():
        pass
    assert [name for name, _ in events] == ["down"]


def test_each_service_gets_its_settings_and_every_replica_the_same(
    events: list[tuple[str, Stack]],
) -> None:
    with local_stack(JOB_LEASE="3", WORKER_THREADS="2", KAFKA_GROUP_ID="both"):
        [(_, stack)] = events
        for number in (1, MAX_REPLICAS):
            server, worker = (stack._part(name, number).environment for name in ("api_server", "worker"))
            assert (server["JOB_LEASE"], worker["WORKER_THREADS"]) == ("3", "2")
            assert "WORKER_THREADS" not in server
            assert "JOB_LEASE" not in worker
            assert server["KAFKA_GROUP_ID"] == worker["KAFKA_GROUP_ID"] == "both"


def test_workers_find_the_handlers_where_the_test_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alone", "packed"):
        (tmp_path / name).mkdir()
        monkeypatch.syspath_prepend(tmp_path / name)
    (tmp_path / "alone" / "my_handlers.py").write_text("raise RuntimeError('a test does not import it')")
    (tmp_path / "packed" / "my_package").mkdir()
    (tmp_path / "packed" / "my_package" / "__init__.py").touch()

    environment = environments_of("my_handlers, my_package.handlers", {})["worker"]

    assert environment["WORKER_HANDLERS"] == "my_handlers, my_package.handlers"
    expected = [PYTHON_PATH["PYTHONPATH"], str(tmp_path / "alone"), str(tmp_path / "packed")]
    assert environment["PYTHONPATH"] == os.pathsep.join(expected)


def test_no_handlers_change_nothing() -> None:
    assert environments_of("", {}) == {"api_server": {}, "worker": {}}


@pytest.mark.parametrize(
    ("handlers", "settings", "problem"),
    [
        ("no_such_module", {}, "handlers: there is no module no_such_module"),
        ("", {"JOB_LEESE": "3"}, "JOB_LEESE is no setting of the API server or the worker"),
    ],
)
def test_what_does_not_exist_is_named(handlers: str, settings: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        environments_of(handlers, settings)
