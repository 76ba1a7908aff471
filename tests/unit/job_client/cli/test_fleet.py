"""`jobctl stats`, `types`, `workers`, `start` and `stop`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from job_client import (
    Activity,
    Fleet,
    FleetChange,
    JobType,
    Latency,
    Stats,
    TypeStats,
    Worker,
    WorkerIdentity,
    WorkerReport,
)
from tests.unit.job_client.cli.conftest import Run
from tests.unit.job_client.cli.fake_client import FakeClient

LATENCY = Latency(timedelta(milliseconds=20), timedelta(milliseconds=30), timedelta(seconds=2))
STATS = TypeStats(
    type="compute",
    queued=10_000,
    queued_capped=True,
    processing=2,
    processing_capped=False,
    oldest_waiting=timedelta(seconds=65),
    oldest_waiting_capped=False,
    completed_total=7.0,
    failed_total=1.0,
    cancelled_total=0.0,
    last_hour=Activity("compute", 9, 8, 5, 1, 0, LATENCY, LATENCY),
    has_worker=False,
)
CHANGE = FleetChange(True, (), (), ())


def worker(name: str, state: str = "consuming") -> Worker:
    identity = WorkerIdentity(
        f"{name}/1", name, "host", 1, ("a", "b"), datetime.now(UTC) - timedelta(hours=2), "1.2"
    )
    return Worker(identity, WorkerReport(state, (), 2, 7, 1, 1, ()), datetime.now(UTC))


def test_stats_have_a_line_for_each_type(client: FakeClient, run: Run) -> None:
    unused = replace(STATS, oldest_waiting=None, last_hour=None, type="")
    client.answers["stats"] = Stats((STATS, unused), ())
    first, second = (line.split("\t") for line in run("stats").lines)
    assert first == ["compute", "10000+", "2", "1m 5s, no worker", "5", "1", "20ms", "20ms", "2.0s"]
    assert second == ["(not known)", "10000+", "2", "", "0", "0", "", "", ""]
    assert run("stats", "-o", "json").json["types"][0]["completedTotal"] == 7


@pytest.mark.parametrize(
    ("accepted", "live", "stopped", "state"),
    [
        (True, 1, False, "running"),
        (True, 1, True, "stopped"),
        (True, 0, False, "no worker"),
        (False, 1, False, "not accepted"),
    ],
)
def test_types_say_whether_they_run(
    accepted: bool, live: int, stopped: bool, state: str, client: FakeClient, run: Run
) -> None:
    client.answers["types"] = [
        JobType("compute", accepted, live, (), stopped, 3, False, {"type": "object"}, None, "")
    ]
    assert run("types").stdout == f"compute\t{live}\t3\t{state}\n"
    assert run("types", "-o", "ndjson").json["liveWorkers"] == live
    assert run("types", "-o", "ndjson").json["payloadSchema"] == {"type": "object"}


def test_workers_say_what_they_do(client: FakeClient, run: Run) -> None:
    workers = (worker("one"), worker("two"), worker("three", "lost"))
    client.answers["workers"] = Fleet(True, workers, ("two", "three"), ("a",))
    rows = [line.split("\t") for line in run("workers").lines]
    assert [row[:5] for row in rows] == [
        ["one/1", "consuming", "2", "7", "1"],
        ["two/1", "stopped", "2", "7", "1"],
        ["three/1", "lost", "2", "7", "1"],
    ]
    assert rows[0][6:] == ["2h ago", "1.2", "a, b"]
    assert "stopped workers: two, three; stopped types: a" in run("workers", terminal=True).stderr
    assert run("workers", "-o", "json").json["stoppedTypes"] == ["a"]
    client.answers["workers"] = Fleet(True, workers, (), (), workers_omitted=2)
    assert "2 more workers are not shown" in run("workers", terminal=True).stderr
    client.answers["workers"] = Fleet(False, (), (), ())
    assert "No worker runs" in run("workers", terminal=True).stderr


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("--all",), {"worker": None, "type": None}),
        (("--worker", "one"), {"worker": "one", "type": None}),
        (("--worker", "one/abc"), {"worker": "one", "type": None}),
        (("--type", "a"), {"worker": None, "type": "a"}),
    ],
)
@pytest.mark.parametrize("command", ["start", "stop"])
def test_a_part_of_the_fleet_is_started_or_stopped(
    command: str, arguments: tuple[str, ...], given: dict[str, str], client: FakeClient, run: Run
) -> None:
    client.answers[command] = FleetChange(False, ("w/1",), (), ("a",))
    ran = run(command, *arguments)
    assert ran.status == 0
    assert "all workers are stopped; stopped types: a" in ran.stderr
    assert "not confirmed yet by w/1" in ran.stderr
    assert client.calls == [(command, given)]
    client.answers[command] = CHANGE
    assert "nothing is stopped" in run(command, *arguments).stderr
    assert run(command, *arguments, "-o", "json").json["consuming"] is True


@pytest.mark.parametrize("arguments", [(), ("--all", "--type", "a"), ("--worker", "w", "--type", "a")])
def test_exactly_one_part_must_be_named(arguments: tuple[str, ...], client: FakeClient, run: Run) -> None:
    for command in ("start", "stop"):
        ran = run(command, *arguments)
        assert ran.status == 2
        assert "--all, --worker NAME and --type TYPE" in ran.stderr
    assert client.calls == []
