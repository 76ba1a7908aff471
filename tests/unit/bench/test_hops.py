"""The hand-overs on a job's way: where they are seen, and what is told of their times."""

import inspect
from pathlib import Path

import pytest

from bench.hops import points
from bench.hops.points import POINTS, Hop, Point, place_of, wrap
from bench.hops.times import Way, complete, read_ways, report
from bench.hops.traced import Trace

ALL = [point for of_service in POINTS.values() for point in of_service]
WAY: Way = {hop: number * 1_000_000 for number, hop in enumerate(Hop)}
"""A millisecond for each hand-over."""


class Service:
    """Has functions that are hand-overs."""

    async def insert(self, job_id: str) -> str:
        return f"stored {job_id}"

    def decode(self, job_id: str) -> str:
        return job_id.upper()


@pytest.mark.parametrize("point", ALL, ids=lambda point: point.target.rpartition(":")[2])
def test_each_point_is_a_function_of_a_service(point: Point) -> None:
    owner, name = place_of(point)

    assert inspect.isfunction(getattr(owner, name))


async def test_what_a_point_sees_is_noted_and_its_function_does_the_same_as_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(points, "place_of", lambda point: (Service, point.target))
    # Restored after the test.
    monkeypatch.setattr(Service, "insert", Service.insert)
    monkeypatch.setattr(Service, "decode", Service.decode)
    trace = Trace(tmp_path / "trace")
    wrap(
        Point(
            "insert",
            before=lambda arguments: [(Hop.INSERT, arguments[1])],
            after=lambda arguments, result: [(Hop.INSERTED, arguments[1]), (Hop.PUBLISH, result[-3:])],
        ),
        trace.note,
    )
    wrap(Point("decode", after=lambda _, result: [(Hop.POLLED, result)]), trace.note)

    assert await Service().insert("one") == "stored one"
    assert Service().decode("two") == "TWO"

    ways = read_ways((tmp_path / "trace").read_text().splitlines())
    assert [list(way) for way in ways.values()] == [[Hop.INSERT, Hop.INSERTED, Hop.PUBLISH], [Hop.POLLED]]
    assert list(ways) == ["one", "TWO"]


def test_the_first_time_at_a_hand_over_counts() -> None:
    ways = read_ways(["7 POLLED a", "5 POLLED a", "9 CLAIM a", "6 POLLED b"])

    assert ways == {"a": {Hop.POLLED: 5, Hop.CLAIM: 9}, "b": {Hop.POLLED: 6}}


def test_a_way_with_a_gap_is_left_out() -> None:
    without_claim: Way = {hop: time for hop, time in WAY.items() if hop is not Hop.CLAIM}

    assert complete([WAY, without_claim]) == [WAY]


def test_each_hand_over_has_its_time_since_the_call_and_since_the_one_before() -> None:
    slow = {hop: time + 5_000_000 * (time > WAY[Hop.INSERT]) for hop, time in WAY.items()}

    head, _, *rows = report([WAY, WAY, slow]).splitlines()

    assert head.count("p50") == 2
    cells = {
        name: figures for name, *figures in ([c.strip() for c in row.strip("|").split("|")] for row in rows)
    }
    assert list(cells) == [hop.value for hop in Hop]
    assert cells[Hop.INSERT.value] == ["2.00", "2.00", "1.00", "1.00"]
    assert cells[Hop.INSERTED.value] == ["3.00", "8.00", "1.00", "6.00"]
    assert cells[Hop.ANSWERED.value] == ["16.0", "21.0", "1.00", "1.00"]
