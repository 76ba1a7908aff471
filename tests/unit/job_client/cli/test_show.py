"""`jobctl get`, `list`, `watch`, `log` and `why`."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from job_client import Attempt, Cause, Explanation, Log, LogEntry, Progress, Unavailable
from tests.unit.job_client.cli.conftest import Run
from tests.unit.job_client.cli.fake_client import HOSTILE, ID, NOON, FakeClient, failure, make_job

RUNNING = make_job(status="processing", attempt=1, progress=Progress(40.0, "half"), update_time=NOON)
DONE = make_job(status="completed", attempt=1, result={"hash": "x"})
FAILED = make_job(status="failed", attempt=1, error=failure(HOSTILE))


def test_get_shows_all_about_a_job(client: FakeClient, run: Run) -> None:
    attempt = Attempt(1, "w/1", NOON, NOON + timedelta(seconds=2), "succeeded", None)
    client.jobs[ID] = replace(DONE, labels={"team": "x"}, worker_id="w/1", history=(attempt,))
    ran = run("get", ID)
    assert ran.status == 0
    for text in (
        ID,
        "compute",
        "completed",
        "team=x",
        '"input": "hello"',
        '"hash": "x"',
        "2.0s\tsucceeded\tw/1",
    ):
        assert text in ran.stdout
    assert run("get", ID, "-o", "json").json["result"] == {"hash": "x"}
    assert len(run("get", ID, "-o", "ndjson").lines) == 1
    assert client.is_closed


def test_get_of_an_unknown_job_is_one_sentence(run: Run) -> None:
    ran = run("get", ID)
    assert (ran.status, ran.stdout) == (1, "")
    assert ran.stderr == f"jobctl: there is no job {ID}; `jobctl list` shows the newest jobs\n"


def test_an_unreachable_server_is_status_3(client: FakeClient, run: Run) -> None:
    client.error = Unavailable("no server answers at x", reason="CLIENT_CANNOT_CONNECT")
    ran = run("list")
    assert (ran.status, ran.stderr) == (3, "jobctl: no server answers at x\n")


def test_a_fault_of_the_command_shows_no_trace_unless_asked_for(
    client: FakeClient, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.error = RuntimeError(HOSTILE)
    ran = run("list")
    assert ran.status == 1
    assert "this is a fault of the command: RuntimeError: \\x1b" in ran.stderr
    assert "Traceback" not in ran.stderr
    monkeypatch.setenv("JOBS_TRACE", "1")
    with pytest.raises(RuntimeError):
        run("list")


def test_a_wrong_variable_is_wrong_usage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from job_client import JobClient
    from job_client.cli import session

    monkeypatch.setattr(session, "make_client", JobClient.from_env)
    monkeypatch.setenv("JOBS_URL", "nowhere")
    ran = run("list")
    assert ran.status == 2
    assert "JOBS_URL must be host:port" in ran.stderr


def test_list_shows_a_line_for_each_job(client: FakeClient, run: Run) -> None:
    client.jobs = {"a": make_job("a"), "b": replace(FAILED, id="b")}
    ran = run("list")
    assert [line.split("\t")[:3] for line in ran.lines] == [
        ["a", "compute", "queued"],
        ["b", "compute", "failed"],
    ]
    assert ran.lines[0].split("\t")[3] == "2026-05-01T12:00:00.000Z"
    assert [job["id"] for job in run("list", "-o", "json").json] == ["a", "b"]
    assert [json.loads(line)["id"] for line in run("list", "-o", "ndjson").lines] == ["a", "b"]


def test_at_a_terminal_it_tells_of_more_jobs_and_of_none(client: FakeClient, run: Run) -> None:
    assert run("list", terminal=True).stderr == "No job matches\n"
    client.jobs = {"a": make_job("a"), "b": make_job("b")}
    ran = run("list", "-n", "1", terminal=True)
    assert "ID" in ran.lines[0]
    assert ran.stderr == "The first 1 jobs; --limit shows more\n"


def test_list_hands_over_its_conditions(client: FakeClient, run: Run) -> None:
    run(
        "list", "-s", "failed", "-s", "cancelled", "-t", "a", "-l", "team=x", "--reason", "R",
        "--worker", "w", "--created-after", "2026-01-01T00:00Z", "--created-before", "1h",
        "--ended-after", "1d",
        "--ended-before", "10m", "-n", "5", "--oldest-first",
    )  # fmt: skip
    [(name, given)] = client.calls
    now = datetime.now(UTC)
    assert name == "list"
    assert given["statuses"] == ["failed", "cancelled"]
    assert (given["types"], given["labels"], given["worker_ids"]) == (["a"], {"team": "x"}, ["w"])
    assert (given["error_reasons"], given["limit"], given["oldest_first"]) == (["R"], 5, True)
    assert given["create_time_from"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert now - given["create_time_before"] < timedelta(hours=2)
    assert given["end_time_from"] < given["end_time_before"] < now


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("list", "--created-after", "soon"), "--created-after: 'soon' is not a time"),
        (("list", "--label", "x"), "--label: 'x' is not a label"),
        (("list", "--limit", "0"), "--limit"),
        (("list", "--watch", "--reason", "X"), "not with error_reasons"),
        (("list", "--output", "xml"), "--output"),
        (("get",), "ID"),
        (("get", ID, "more"), "more"),
        (("nothing",), "nothing"),
        (("watch", ID, "--timeout", "soon"), "'soon' is not a duration"),
    ],
)
def test_wrong_usage_is_status_2_and_names_the_option(
    arguments: tuple[str, ...], text: str, run: Run
) -> None:
    ran = run(*arguments)
    assert ran.status == 2
    assert text in ran.stderr


def test_a_watched_list_has_a_line_for_each_change(client: FakeClient, run: Run) -> None:
    client.states = [make_job(), RUNNING, FAILED]
    ran = run("list", "--watch", "--type", "compute", "--timeout", "5s")
    assert client.calls == [("watch", {"id": None, "types": ["compute"], "timeout": 5.0})]
    assert [("queued" in line, "processing" in line, "failed" in line) for line in ran.lines] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    assert len(run("list", "--watch", "-o", "ndjson").lines) == 3
    client.states = [RUNNING, KeyboardInterrupt()]
    assert run("list", "--watch").status == 130


@pytest.mark.parametrize(("end", "status"), [(DONE, 0), (FAILED, 1), (make_job(status="cancelled"), 1)])
def test_watch_ends_with_the_status_of_the_job(
    end: object, status: int, client: FakeClient, run: Run
) -> None:
    client.states = [make_job(), RUNNING, end]  # type: ignore[list-item]  # - jobs
    assert run("watch", ID).status == status
    assert run("watch", ID, "-o", "ndjson").status == status


def test_watch_shows_each_state_and_the_result(client: FakeClient, run: Run) -> None:
    client.states = [make_job(), RUNNING, DONE]
    ran = run("watch", ID)
    assert ran.json == {"hash": "x"}
    assert [line.split("  ")[1] for line in ran.stderr.splitlines()] == ["queued", "processing", "completed"]
    assert "40 % half" in ran.stderr
    states = [json.loads(line)["status"] for line in run("watch", ID, "-o", "ndjson").lines]
    assert states == ["queued", "processing", "completed"]


def test_at_a_terminal_watch_shows_progress(client: FakeClient, run: Run) -> None:
    client.states = [make_job(), RUNNING, DONE]
    ran = run("watch", ID, terminal=True)
    assert "processing 40 % half" in ran.stderr
    assert ran.json == {"hash": "x"}


def test_the_error_of_a_failed_job_is_shown_harmless(client: FakeClient, run: Run) -> None:
    client.states = [FAILED]
    ran = run("watch", ID)
    assert f"Job {ID} failed: HANDLER_ERROR: \\x1b[31mred" in ran.stderr
    assert f"jobctl log {ID}" in ran.stderr


def test_ctrl_c_leaves_the_job_running_and_tells_how_to_come_back(client: FakeClient, run: Run) -> None:
    client.states = [RUNNING, KeyboardInterrupt()]
    ran = run("watch", ID)
    assert ran.status == 130
    assert ran.stderr.splitlines()[-1] == f"The job goes on. To wait for it again: jobctl watch {ID}"


def test_after_the_timeout_the_status_is_124(client: FakeClient, run: Run) -> None:
    client.states = [RUNNING]
    ran = run("watch", ID, "--timeout", "1m")
    assert client.calls == [("watch", {"id": ID, "timeout": 60.0})]
    assert ran.status == 124
    assert f"jobctl watch {ID}" in ran.stderr


def entry(number: int, message: str, **changes: object) -> LogEntry:
    values = {"kind": "line", "attempt": 1, "worker_id": "w/1", "level": "info", "logger": "mine", **changes}
    return LogEntry(number=number, time=NOON, message=message, **values)  # type: ignore[arg-type]  # - of a dict


def test_log_shows_lines_that_a_job_cannot_make_up(client: FakeClient, run: Run) -> None:
    client.answers["log"] = Log((entry(1, "hello"), entry(2, f"a\n2026-05-01 [1] INFO fake\r{HOSTILE}")), 3)
    first, second, third, fourth = run("log", ID).lines
    assert first.endswith("[1] INFO     mine: hello")
    assert second.endswith("mine: a")
    assert third == "    2026-05-01 [1] INFO fake"
    assert fourth.startswith("    \\x1b[31mred")
    assert run("log", ID, terminal=True).stderr == "3 entries before these are not kept\n"
    assert [each["number"] for each in run("log", ID, "-o", "json").json] == [1, 2]
    run("log", ID, "--after", "7")
    assert client.calls[-1] == ("log", {"id": ID, "after_number": 7})


def test_log_follow_shows_entries_as_they_come(client: FakeClient, run: Run) -> None:
    client.entries = [entry(3, "hello"), entry(6, f"a\n{HOSTILE}"), KeyboardInterrupt()]
    ran = run("log", ID, "--follow", "--after", "2")
    assert client.calls == [("follow_log", {"id": ID, "after_number": 2})]
    assert [line[-5:] for line in ran.lines[:2]] == ["hello", "ne: a"]
    assert ran.lines[2].startswith("    \\x1b[31mred")
    assert (ran.status, ran.stderr) == (130, f"The job goes on. To wait for it again: jobctl watch {ID}\n")
    client.entries = client.entries[:2]
    assert run("log", ID, "-f", "--after", "2", terminal=True).stderr == (
        "2 entries before this one are not kept\n"
    )
    ran = run("log", ID, "-f", "-o", "ndjson")
    assert (ran.status, [json.loads(line)["number"] for line in ran.lines]) == (0, [3, 6])


def test_why_tells_the_reasons_and_what_is_next(client: FakeClient, run: Run) -> None:
    client.answers["explain"] = Explanation(
        reason="no_worker",
        message="No live worker takes jobs of its type.",
        other_causes=(Cause("fleet_stopped", "All workers are stopped."),),
        next="It starts when a worker does.",
        next_time=None,
        ahead=10_000,
        ahead_capped=True,
        worker_id="",
        start_time=None,
        lease_expire_time=None,
    )
    assert run("why", ID).lines == [
        "No live worker takes jobs of its type.",
        "Also: All workers are stopped.",
        "next\tIt starts when a worker does.",
        "jobs ahead\t10000+",
    ]
    assert run("why", ID, "-o", "json").json["reason"] == "no_worker"
