"""The state of each job type: who runs it, whether it is stopped, and how many jobs wait."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.fleet import Fleet, Worker, WorkerIdentity, WorkerReport
from api_server.domain.job_type import MAX_COUNTED, MAX_TYPES, TypeState, Waiting, type_states

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = Fleet()


def worker(name: str, *types: str, state: str = "consuming") -> Worker:
    return Worker(WorkerIdentity(f"{name}/1", name, "host", 1, types), WorkerReport(state), NOW)


def test_a_type_is_listed_if_anybody_knows_it() -> None:
    workers = [worker("w", "b", "c"), worker("v", "c"), worker("gone", "c", "x", state="lost")]
    states = type_states(("a", "b"), workers, Fleet(stopped_types=("d",)), {"e": Waiting(3)})
    assert states == [
        TypeState("a", True, (), False, Waiting()),
        TypeState("b", True, ("w",), False, Waiting()),
        TypeState("c", False, ("v", "w"), False, Waiting()),
        TypeState("d", False, (), True, Waiting()),
        TypeState("e", False, (), False, Waiting(3)),
    ]
    assert [state.type for state in states if state.lacks_worker] == ["e"]


def test_a_worker_that_shuts_down_does_not_count() -> None:
    (state,) = type_states(("a",), [worker("w", "a", state="draining")], ALL, {"a": Waiting(1)})
    assert state.lacks_worker


def test_a_type_is_stopped_with_all_its_workers_or_by_itself() -> None:
    workers = [worker("v", "a"), worker("w", "a")]

    def is_stopped(fleet: Fleet) -> bool:
        (state,) = type_states(("a",), workers, fleet, {})
        return state.stopped

    assert not is_stopped(ALL)
    assert not is_stopped(Fleet(stopped_workers=("w",), stopped_types=()))
    assert is_stopped(Fleet(stopped_workers=("v", "w")))
    assert is_stopped(Fleet(consuming=False))
    assert is_stopped(Fleet(stopped_types=("a",)))


def test_counts_and_types_are_bounded() -> None:
    assert Waiting.of(MAX_COUNTED) == Waiting(MAX_COUNTED)
    assert Waiting.of(MAX_COUNTED + 1) == Waiting(MAX_COUNTED, is_capped=True)
    names = [f"t{number:04}" for number in range(MAX_TYPES + 1)]
    assert [state.type for state in type_states(names, [], ALL, {})] == names[:-1]


NAMES = st.lists(st.sampled_from("abcd"), unique=True).map(tuple)
WORKERS = st.lists(
    st.builds(
        lambda name, types, state: worker(name, *types, state=state),
        st.sampled_from("vwxyz"),
        NAMES,
        st.sampled_from(["consuming", "paused", "idle", "lost", "draining"]),
    ),
    unique_by=lambda each: each.identity.name,
)


@given(NAMES, WORKERS, st.builds(Fleet, st.booleans(), st.just(1), NAMES, NAMES))
def test_each_type_is_listed_once_with_its_live_workers(
    accepted: tuple[str, ...], workers: list[Worker], fleet: Fleet
) -> None:
    states = type_states(accepted, workers, fleet, {})
    assert [state.type for state in states] == sorted({state.type for state in states})
    assert {state.type for state in states if state.accepted} == set(accepted)
    assert states == type_states(accepted, workers[::-1], fleet, {})
    for state in states:
        for each in workers:
            runs = state.type in each.identity.types and each.report.state not in ("lost", "draining")
            assert runs == (each.identity.name in state.worker_names)
