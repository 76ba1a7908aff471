"""`jobctl cancel` and `jobctl retry`."""

import pytest

from job_client import JobClientError, Refusal
from tests.unit.job_client.cli.conftest import Run
from tests.unit.job_client.cli.fake_client import ID, FakeClient, make_job, make_operation

PLAN = make_operation(id="", state="unspecified", matched=3, changed=0)


def names(client: FakeClient) -> list[tuple[str, bool]]:
    return [(name, given.get("dry_run", False)) for name, given in client.calls]


def test_jobs_are_changed_by_their_ids(client: FakeClient, run: Run) -> None:
    client.jobs = {"a": make_job("a", "cancelled")}
    ran = run("cancel", "a", "--because", "not needed")
    assert (ran.status, ran.stderr) == (0, "a cancelled\n")
    assert client.calls[0] == ("cancel", {"id": "a", "reason": "not needed"})
    assert run("retry", "a", "-o", "json").json["id"] == "a"


def test_one_refusal_does_not_stop_the_others(client: FakeClient, run: Run) -> None:
    client.jobs = {"b": make_job("b", "cancelled")}
    ran = run("cancel", "a", "b")
    assert ran.status == 1
    assert ran.stderr.splitlines()[0].startswith("a: there is no job a")
    assert ran.stderr.splitlines()[1] == "b cancelled"


def test_many_jobs_are_counted_first_and_changed_only_with_yes(client: FakeClient, run: Run) -> None:
    client.operations = [PLAN, make_operation(state="running", changed=0)]
    client.progress = [make_operation(state="running", changed=1), make_operation()]
    ran = run("retry", "--failed", "--type", "compute", "--reason", "TIMEOUT", "--yes")
    assert (ran.status, ran.stderr) == (0, "3 of 3 jobs queued again\n")
    assert names(client) == [("bulk_retry", True), ("bulk_retry", False), ("watch_operation", False)]
    given = client.calls[1][1]
    assert (given["statuses"], given["types"]) == (["failed"], ["compute"])
    assert given["error_reasons"] == ["TIMEOUT"]


def test_a_dry_run_changes_nothing(client: FakeClient, run: Run) -> None:
    client.operations = [PLAN, PLAN]
    assert run("retry", "--failed", "--dry-run").stdout == "would retry 3 jobs\n"
    assert run("cancel", "--type", "x", "--dry-run", "-o", "json").json["matched"] == 3
    assert names(client) == [("bulk_retry", True), ("bulk_cancel", True)]


def test_nobody_is_asked_who_is_not_there(client: FakeClient, run: Run) -> None:
    client.operations = [PLAN]
    ran = run("retry", "--failed")
    assert ran.status == 2
    assert "say --yes" in ran.stderr
    assert names(client) == [("bulk_retry", True)]


@pytest.mark.parametrize(("answer", "status", "calls"), [("y\n", 0, 2), ("n\n", 1, 1), ("\n", 1, 1)])
def test_at_a_terminal_it_asks(answer: str, status: int, calls: int, client: FakeClient, run: Run) -> None:
    client.operations = [PLAN, make_operation()]
    ran = run("cancel", "--type", "compute", stdin=answer, terminal=True)
    assert ran.status == status
    assert "This will cancel 3 jobs. Go on? [y/N]" in ran.stderr
    assert len(client.calls) == calls


def test_no_match_is_no_question(client: FakeClient, run: Run) -> None:
    client.operations = [make_operation(matched=0)]
    ran = run("retry", "--failed", "--yes")
    assert (ran.status, ran.stdout) == (0, "no job matches\n")
    assert names(client) == [("bulk_retry", True)]


def test_refusals_are_grouped(client: FakeClient, run: Run) -> None:
    refusals = (Refusal("a", "JOB_TERMINAL", "x"), Refusal("b", "JOB_TERMINAL", "x"))
    client.operations = [PLAN, make_operation(changed=1, refused=2, refusals=refusals)]
    ran = run("cancel", "--label", "a=b", "--yes")
    assert ran.status == 1
    assert "1 of 3 jobs cancelled" in ran.stderr
    assert "2 jobs refused: 2 JOB_TERMINAL" in ran.stderr


def test_an_operation_that_ended_early_is_no_success(client: FakeClient, run: Run) -> None:
    client.operations = [PLAN, make_operation(state="cancelled", changed=1)]
    assert run("cancel", "--type", "x", "--yes", "-o", "json").status == 1


def test_a_terminal_shows_how_far_the_operation_is(client: FakeClient, run: Run) -> None:
    client.operations = [PLAN, make_operation(state="running", changed=0)]
    client.progress = [make_operation(state="running", changed=1, refused=1), make_operation()]
    ran = run("retry", "--failed", "--yes", terminal=True)
    assert ran.status == 0
    assert "3 of 3 queued again" in ran.stderr
    assert "3 of 3 jobs queued again" in ran.stderr


def test_an_operation_that_has_ended_at_once_is_not_watched(client: FakeClient, run: Run) -> None:
    client.operations = [PLAN, make_operation()]
    assert run("retry", "--failed", "--yes").status == 0
    assert names(client) == [("bulk_retry", True), ("bulk_retry", False)]


def test_ctrl_c_leaves_the_operation_running(client: FakeClient, run: Run) -> None:
    client.operations = [PLAN, make_operation(state="running")]
    client.progress = [make_operation(state="running"), KeyboardInterrupt()]
    ran = run("cancel", "--type", "x", "--yes")
    assert (ran.status, ran.stderr) == (130, f"Operation {ID} goes on in the server\n")


def test_if_the_watch_fails_it_says_that_the_operation_goes_on(client: FakeClient, run: Run) -> None:
    client.operations = [PLAN, make_operation(state="running")]
    client.progress = [JobClientError("the server is older")]
    ran = run("cancel", "--type", "x", "--yes")
    assert ran.status == 1
    assert ran.stderr.splitlines() == [
        f"Operation {ID} goes on in the server",
        "jobctl: the server is older",
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("cancel",), "give ids, or conditions"),
        (("retry", "a", "--failed"), "not both"),
        (("retry", "a", "--dry-run"), "--dry-run"),
    ],
)
def test_it_must_be_said_which_jobs(
    arguments: tuple[str, ...], text: str, client: FakeClient, run: Run
) -> None:
    ran = run(*arguments)
    assert ran.status == 2
    assert text in ran.stderr
    assert client.calls == []


def test_an_error_of_the_whole_call_ends_it(client: FakeClient, run: Run) -> None:
    client.error = JobClientError("too many operations")
    assert run("retry", "--failed", "--yes").stderr == "jobctl: too many operations\n"
