"""What a shell gets at the Tab key, by the protocol by which it asks."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from job_client import JobClientError
from job_client.cli import completion, session
from tests.unit.job_client.cli.conftest import Run
from tests.unit.job_client.cli.fake_client import FakeClient

MAKE_CLIENT = session.make_client
Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(client: FakeClient, run: Run, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """What bash is offered for the last word of a line."""
    types = [("data", True), ("compute", True), ("compute-old", False)]
    worker = SimpleNamespace(identity=SimpleNamespace(name="worker-1", worker_id="worker-1/e58e72a3"))
    client.answers = {
        "types": [SimpleNamespace(type=name, accepted=accepted) for name, accepted in types],
        "workers": SimpleNamespace(workers=[worker]),
    }

    def complete(line: str) -> list[str]:
        with monkeypatch.context() as patch:
            patch.setenv("_JOBCTL_COMPLETE", "complete_bash")
            patch.setenv("COMP_WORDS", line)
            patch.setenv("COMP_CWORD", str(line.count(" ")))
            ran = run()
        assert (ran.status, ran.stderr) == (0, "")
        return ran.stdout.split()

    return complete


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("jobctl st", ["stats", "start", "stop"]),
        ("jobctl list --status c", ["completed", "cancelled"]),
        ("jobctl retry -s fa", ["failed"]),
        # A job of a type that is not accepted any more can be found, but not submitted.
        ("jobctl submit ", ["compute", "data"]),
        ("jobctl submit --wait co", ["compute"]),
        ("jobctl submit compute ", []),
        ("jobctl list --type co", ["compute", "compute-old"]),
        ("jobctl cancel -t d", ["data"]),
        ("jobctl retry --failed --type ", ["compute", "compute-old", "data"]),
        ("jobctl stop --type x", []),
        ("jobctl start -t da", ["data"]),
        ("jobctl stop --worker w", ["worker-1"]),
        ("jobctl start --worker ", ["worker-1"]),
        ("jobctl list --worker w", ["worker-1/e58e72a3"]),
        ("jobctl get -o nd", ["ndjson"]),
    ],
)
def test_bash_is_offered_what_fits(line: str, offered: list[str], complete: Complete) -> None:
    assert complete(line) == offered


def test_zsh_is_offered_what_fits(client: FakeClient, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    client.answers["types"] = [SimpleNamespace(type="compute", accepted=True)]
    monkeypatch.setenv("_JOBCTL_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "jobctl wo")
    assert "workers" in run().stdout
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "jobctl submit co")
    assert run().stdout == """_arguments '*: :(("compute"))'\n"""


def test_a_name_that_a_shell_could_run_is_left_out(client: FakeClient, complete: Complete) -> None:
    hostile = ("$(reboot)", "`reboot`", "a'b", 'a"b', "a b", "a;b", "a\nb", "a:b", "a@b", "")
    client.answers["types"] = [SimpleNamespace(type=each, accepted=True) for each in (*hostile, "x")]
    assert complete("jobctl submit ") == ["x"]


def test_an_error_of_the_server_offers_nothing(client: FakeClient, complete: Complete) -> None:
    client.error = JobClientError("not allowed")
    assert complete("jobctl submit ") == complete("jobctl stop --worker ") == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "no address", "http://192.0.2.1:3000"])
def test_a_server_that_does_not_answer_is_not_waited_for_long(
    address: str, complete: Complete, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "make_client", MAKE_CLIENT)
    monkeypatch.setattr(completion, "SECONDS", 0.2)
    monkeypatch.setenv("JOBS_URL", address)
    begin = time.monotonic()
    assert complete("jobctl submit ") == []
    assert time.monotonic() - begin < 5
