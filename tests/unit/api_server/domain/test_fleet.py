"""The desired state of the fleet, after one change and after several."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.fleet import (
    MAX_STOPPED,
    Fleet,
    OneType,
    OneWorker,
    Part,
    Worker,
    WorkerIdentity,
    WorkerReport,
)
from contract_runtime.errors import InvalidArgument

NAMES = st.sampled_from("abc")
PARTS = st.none() | NAMES.map(OneWorker) | NAMES.map(OneType)
CHANGES = st.lists(st.tuples(st.booleans(), PARTS), max_size=12)


def after(changes: list[tuple[bool, Part | None]]) -> Fleet:
    fleet = Fleet()
    for consuming, part in changes:
        fleet = fleet.with_consuming(consuming, part)
    return fleet


@given(CHANGES, st.booleans(), PARTS)
def test_a_change_has_its_effect_and_adds_one_to_the_revision_only_if_it_changes_something(
    before: list[tuple[bool, Part | None]], consuming: bool, part: Part | None
) -> None:
    fleet = after(before)
    desired = fleet.with_consuming(consuming, part)
    match part:
        case OneWorker(name):
            assert (name in desired.stopped_workers) is not consuming
        case OneType(job_type):
            assert (job_type in desired.stopped_types) is not consuming
        case None:
            assert desired.consuming is consuming
    assert desired.revision - fleet.revision == int(desired != fleet)
    assert desired.with_consuming(consuming, part) == desired
    for stopped in (desired.stopped_workers, desired.stopped_types):
        assert list(stopped) == sorted(set(stopped))


@given(CHANGES)
def test_starting_the_whole_fleet_clears_every_stop(before: list[tuple[bool, Part | None]]) -> None:
    fleet = after(before).with_consuming(True, None)
    assert fleet == Fleet(revision=fleet.revision)


def test_stopping_the_whole_fleet_keeps_the_stops_of_parts() -> None:
    fleet = after([(False, OneWorker("a")), (False, OneType("b")), (False, None)])
    assert fleet == Fleet(False, 3, ("a",), ("b",))


def test_starting_a_part_does_not_start_the_others() -> None:
    fleet = after([(False, None), (False, OneWorker("a")), (False, OneWorker("b")), (True, OneWorker("a"))])
    assert fleet == Fleet(False, 4, ("b",))


@pytest.mark.parametrize(("part", "field"), [(OneWorker, "part.worker"), (OneType, "part.type")])
def test_a_thousand_parts_can_be_stopped_by_name(part: type[OneWorker] | type[OneType], field: str) -> None:
    fleet = after([(False, part(f"{n:04}")) for n in range(MAX_STOPPED)])
    assert fleet.with_consuming(False, part("0000")) == fleet
    with pytest.raises(InvalidArgument) as caught:
        fleet.with_consuming(False, part("one more"))
    assert [violation.field for violation in caught.value.violations] == [field]
    assert (
        fleet.with_consuming(True, part("0000")).with_consuming(False, part("one more")).revision
        == fleet.revision + 2
    )


@pytest.mark.parametrize(
    ("fleet", "reason"),
    [
        (Fleet(), None),
        (Fleet(stopped_workers=("b",), stopped_types=("data",)), None),
        (Fleet(consuming=False), "FLEET_STOPPED"),
        (Fleet(stopped_workers=("a",)), "WORKER_STOPPED"),
        (Fleet(stopped_workers=("a/1",)), None),
        (Fleet(stopped_types=("compute",)), "TYPE_STOPPED"),
    ],
)
def test_a_claim_is_stopped_by_the_stop_of_its_worker_or_its_type(fleet: Fleet, reason: str | None) -> None:
    assert fleet.stop_of("a/1", "compute") == reason
    assert fleet.stops_anything is (fleet != Fleet())


def test_the_type_of_a_claim_that_names_none_is_not_checked() -> None:
    assert Fleet(stopped_types=("compute",)).stop_of("a/1", None) is None


@pytest.mark.parametrize(
    ("report", "ended"),
    [
        (WorkerReport("draining"), True),
        (WorkerReport("draining", in_flight=1), False),
        (WorkerReport("consuming"), False),
        (WorkerReport(), False),
    ],
)
def test_a_worker_has_ended_when_it_drains_and_holds_no_job(report: WorkerReport, ended: bool) -> None:
    identity = WorkerIdentity("w/1", "w", "here", 7, ("compute",))
    assert Worker(identity, report, datetime(2026, 1, 1, tzinfo=UTC)).has_ended is ended
