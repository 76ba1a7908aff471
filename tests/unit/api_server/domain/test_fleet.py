"""What the fleet is wished to do, one wish after another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.fleet import MAX_STOPPED, Fleet, OneType, OneWorker, Part
from contract_runtime.errors import InvalidArgument

NAMES = st.sampled_from("abc")
PARTS = st.none() | NAMES.map(OneWorker) | NAMES.map(OneType)
WISHES = st.lists(st.tuples(st.booleans(), PARTS), max_size=12)


def after(wishes: list[tuple[bool, Part | None]]) -> Fleet:
    fleet = Fleet()
    for consuming, part in wishes:
        fleet = fleet.wished(consuming, part)
    return fleet


@given(WISHES, st.booleans(), PARTS)
def test_a_wish_is_heeded_and_a_real_change_counts_once(
    before: list[tuple[bool, Part | None]], consuming: bool, part: Part | None
) -> None:
    fleet = after(before)
    wished = fleet.wished(consuming, part)
    match part:
        case OneWorker(name):
            assert (name in wished.stopped_workers) is not consuming
        case OneType(job_type):
            assert (job_type in wished.stopped_types) is not consuming
        case None:
            assert wished.consuming is consuming
    assert wished.revision - fleet.revision == int(wished != fleet)
    assert wished.wished(consuming, part) == wished
    for stopped in (wished.stopped_workers, wished.stopped_types):
        assert list(stopped) == sorted(set(stopped))


@given(WISHES)
def test_to_let_all_consume_clears_every_stop(before: list[tuple[bool, Part | None]]) -> None:
    fleet = after(before).wished(True, None)
    assert fleet == Fleet(revision=fleet.revision)


def test_to_stop_all_leaves_the_stops_of_parts() -> None:
    fleet = after([(False, OneWorker("a")), (False, OneType("b")), (False, None)])
    assert fleet == Fleet(False, 3, ("a",), ("b",))


def test_to_let_a_part_consume_does_not_start_the_others() -> None:
    fleet = after([(False, None), (False, OneWorker("a")), (False, OneWorker("b")), (True, OneWorker("a"))])
    assert fleet == Fleet(False, 4, ("b",))


@pytest.mark.parametrize(("part", "field"), [(OneWorker, "part.worker"), (OneType, "part.type")])
def test_a_thousand_parts_can_be_stopped_by_name(part: type[OneWorker] | type[OneType], field: str) -> None:
    fleet = after([(False, part(f"{n:04}")) for n in range(MAX_STOPPED)])
    assert fleet.wished(False, part("0000")) == fleet
    with pytest.raises(InvalidArgument) as caught:
        fleet.wished(False, part("one more"))
    assert [violation.field for violation in caught.value.violations] == [field]
    assert fleet.wished(True, part("0000")).wished(False, part("one more")).revision == fleet.revision + 2


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
def test_a_claim_is_stopped_by_what_its_worker_and_its_type_are(fleet: Fleet, reason: str | None) -> None:
    assert fleet.stop_of("a/1", "compute") == reason
    assert fleet.stops_anything is (fleet != Fleet())


def test_of_a_claim_that_names_no_type_the_type_is_not_checked() -> None:
    assert Fleet(stopped_types=("compute",)).stop_of("a/1", None) is None
