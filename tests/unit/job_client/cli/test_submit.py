"""`jobctl submit`."""

import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from job_client import InvalidArgument, NewJob, Outcome, Unavailable
from tests.unit.job_client.cli.conftest import Run
from tests.unit.job_client.cli.fake_client import HOSTILE, ID, FakeClient, failure, make_job

DONE = make_job(status="completed", result={"hash": "x"})


def test_it_prints_the_id(client: FakeClient, run: Run) -> None:
    ran = run("submit", "compute", "input=hello", "n:=3")
    assert (ran.status, ran.stdout, ran.stderr) == (0, f"{ID}\n", "")
    [(name, given)] = client.calls
    assert (name, given["type"], given["payload"]) == ("submit", "compute", {"input": "hello", "n": 3})
    assert UUID(given["id"]).version == 7
    assert run("submit", "compute", "-o", "json").json["id"] == ID
    assert f"jobctl watch {ID}" in run("submit", "compute", terminal=True).stderr


def test_the_options_become_those_of_the_job(client: FakeClient, run: Run) -> None:
    run(
        "submit", "compute", "--data", '{"a": 1}', "--label", "team=x", "--id", ID, "--start", "10m",
        "--expire", "2030-01-01T00:00Z", "--attempt-timeout", "30s", "--max-attempts", "5",
    )  # fmt: skip
    [(_, given)] = client.calls
    assert given["payload"] == {"a": 1}
    assert (given["labels"], given["id"]) == ({"team": "x"}, ID)
    assert given["attempt_timeout"] == timedelta(seconds=30)
    assert given["retry_policy"].max_attempts == 5
    assert given["schedule_time"] < given["expire_time"]


@pytest.mark.parametrize("arguments", [("--data", "-"), ("--file", "-")])
def test_standard_input_is_a_payload(arguments: tuple[str, ...], client: FakeClient, run: Run) -> None:
    run("submit", "compute", *arguments, stdin='{"input": "piped"}')
    assert client.calls[0][1]["payload"] == {"input": "piped"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "name the job type"),
        (("compute", "hello"), "'hello' is not key=value"),
        (("compute", "--data", "[]"), "--data must be a JSON object"),
        (("compute", "a=1", "--data", "{}"), "give the payload once"),
        (("compute", "a=1", "--ndjson", "-"), "from the lines only"),
        (("compute", "--start", "x"), "--start"),
        (("compute", "--max-attempts", "x"), "--max-attempts"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], text: str, client: FakeClient, run: Run) -> None:
    ran = run("submit", *arguments)
    assert ran.status == 2
    assert text in ran.stderr
    assert client.calls == []


def test_what_the_server_refuses_is_wrong_usage(client: FakeClient, run: Run) -> None:
    client.error = InvalidArgument("type: must be known")
    ran = run("submit", "nix")
    assert (ran.status, ran.stderr) == (2, "jobctl: type: must be known\n")


@pytest.mark.parametrize(("status", "exit_status"), [("completed", 0), ("failed", 1), ("cancelled", 1)])
def test_with_wait_the_end_of_the_job_counts(
    status: str, exit_status: int, client: FakeClient, run: Run
) -> None:
    client.states = [make_job(status="processing"), make_job(status=status, result={"a": 1})]
    ran = run("submit", "compute", "--wait")
    assert ran.status == exit_status
    assert ran.json == {"a": 1}
    assert run("submit", "compute", "--wait", "-o", "json").json["status"] == status


def test_ctrl_c_leaves_the_job_running(client: FakeClient, run: Run) -> None:
    client.states = [KeyboardInterrupt()]
    ran = run("submit", "compute", "--wait")
    assert (ran.status, ran.stdout) == (130, "")
    assert ran.stderr == f"The job goes on. To wait for it again: jobctl watch {ID}\n"


def test_ctrl_c_while_it_submits_tells_how_to_find_out(client: FakeClient, run: Run) -> None:
    client.error = KeyboardInterrupt()
    ran = run("submit", "compute", "--id", ID)
    assert ran.status == 130
    assert ran.stderr == f"The job may have been submitted. To see: jobctl get {ID}\n"


# --- Many ---

LINES = '{"input": "a"}\n\n{"input": "b"}\n{"input": "c"}\n'


def test_lines_are_submitted_and_their_ids_printed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "payloads.ndjson"
    file.write_text(LINES)
    ran = run("submit", "compute", "--ndjson", str(file), "--label", "team=x")
    assert ran.lines == ["id-1", "id-2", "id-3"]
    assert (ran.status, ran.stderr) == (0, "3 jobs submitted\n")
    ran = run("submit", "compute", "--ndjson", "-", "-o", "ndjson", stdin=LINES)
    assert [json.loads(line) for line in ran.lines] == [
        {"line": 1, "id": "id-1"},
        {"line": 3, "id": "id-2"},
        {"line": 4, "id": "id-3"},
    ]
    ran = run("submit", "compute", "--ndjson", "-", stdin=LINES, terminal=True)
    assert ran.stdout == ""
    assert "✓ 3 jobs submitted" in ran.stderr


def test_lines_can_be_jobs(client: FakeClient, run: Run) -> None:
    seen: list[NewJob] = []

    def outcome_of(job: NewJob, number: int) -> Outcome:
        seen.append(job)
        return Outcome(job, f"id-{number}", make_job())

    client.outcome_of = outcome_of
    line = json.dumps({"type": "data", "payload": {"a": 1}, "labels": {"n": "1"}, "id": ID})
    run("submit", "--ndjson", "-", "--label", "team=x", stdin=line)
    assert seen == [NewJob("data", {"a": 1}, {"team": "x", "n": "1"}, ID)]


def test_a_refused_line_is_named_and_does_not_stop_the_others(client: FakeClient, run: Run) -> None:
    def outcome_of(job: NewJob, number: int) -> Outcome:
        if job.payload["input"] == "b":
            return Outcome(job, "", error=InvalidArgument(HOSTILE))
        return Outcome(job, f"id-{number}", make_job())

    client.outcome_of = outcome_of
    ran = run("submit", "compute", "--ndjson", "-", stdin=LINES)
    assert ran.status == 2
    assert ran.lines == ["id-1", "id-3"]
    assert ran.stderr.startswith("standard input, line 3: \\x1b[31mred")


def test_only_the_first_refused_lines_are_shown(client: FakeClient, run: Run) -> None:
    client.outcome_of = lambda job, _number: Outcome(job, "", error=Unavailable("busy"))
    ran = run("submit", "compute", "--ndjson", "-", stdin='{"a": 1}\n' * 25)
    assert ran.status == 3
    assert len(ran.stderr.splitlines()) == 10 + 2
    assert "15 more lines are refused" in ran.stderr


def test_a_line_that_is_no_json_ends_it_after_the_lines_before(run: Run) -> None:
    ran = run("submit", "compute", "--ndjson", "-", stdin='{"a": 1}\n{"b\n{"c": 1}')
    assert ran.status == 2
    assert ran.lines == ["id-1"]
    assert "standard input, line 2, is not JSON" in ran.stderr
    assert "the lines before it are submitted" in ran.stderr


def test_with_wait_many_jobs_are_counted_and_errors_grouped(client: FakeClient, run: Run) -> None:
    client.jobs = {
        "id-1": make_job("id-1", "completed"),
        "id-2": make_job("id-2", "failed", error=failure(reason="INVALID_INPUT")),
        "id-3": make_job("id-3", "failed", error=failure(reason="INVALID_INPUT")),
    }
    ran = run("submit", "compute", "--ndjson", "-", "--wait", stdin=LINES)
    assert ran.status == 1
    assert ran.lines[0] == "1 completed, 2 failed"
    assert "2 INVALID_INPUT" in ran.lines[1]
    ran = run("submit", "compute", "--ndjson", "-", "--wait", "-o", "ndjson", stdin=LINES)
    assert sorted(json.loads(line)["id"] for line in ran.lines) == ["id-1", "id-2", "id-3"]
    ran = run("submit", "compute", "--ndjson", "-", "--wait", stdin=LINES, terminal=True)
    assert "1 completed, 2 failed" in ran.stdout


def test_ctrl_c_while_many_are_submitted_says_how_many_are(client: FakeClient, run: Run) -> None:
    def outcome_of(job: NewJob, number: int) -> Outcome:
        if number == 3:
            raise KeyboardInterrupt
        return Outcome(job, f"id-{number}", make_job())

    client.outcome_of = outcome_of
    ran = run("submit", "compute", "--ndjson", "-", stdin=LINES)
    assert ran.status == 130
    assert ran.stderr == "At least 2 jobs submitted. To see them: jobctl list\n"


def test_no_line_is_no_job(run: Run) -> None:
    assert run("submit", "compute", "--ndjson", "-").stderr == "0 jobs submitted\n"
    assert run("submit", "compute", "--ndjson", "-", "--wait").stdout == "no jobs\n"
