"""A change of the desired state, and of a lane, reaches the parts that follow it."""

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.worker_pb2 import Fleet
from tests.clocks import MonotonicClock
from tests.unit.worker_service.worker_fakes import worker_state
from worker_service.claiming import backlog
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.suspects import patience
from worker_service.kafka.offsets import Partition, Ticket

WAITING = WaitingRecord(
    DispatchRecord(id="job", type="data"), Ticket(Partition("jobs.data", 0), 1, 0), size=backlog.FULL_BYTES
)


def test_a_new_desired_state_shuts_types_out_of_all_lanes_and_wakes_all_parts() -> None:
    state = worker_state({"loop": 1, "thread": 1})
    for lane in state.lanes.values():
        lane.add(WAITING)
    state.claim_wake.clear()
    state.pause_wake.clear()

    state.desired.receive(Fleet(consuming=True, revision=1, stopped_types=["data"]))

    assert [lane.take() for lane in state.lanes.values()] == [None, None]
    assert all(wake.is_set() for wake in (state.claim_wake, state.pause_wake, state.membership_wake))


def test_a_desired_state_without_a_change_for_this_worker_wakes_nobody() -> None:
    state = worker_state({"loop": 1})

    state.desired.receive(Fleet(consuming=False, revision=1))

    assert not any(wake.is_set() for wake in (state.claim_wake, state.pause_wake, state.membership_wake))


def test_a_record_wakes_claiming_and_a_full_lane_wakes_pausing() -> None:
    state = worker_state({"loop": 1})
    lane = state.lanes["loop"]
    lane.add(WAITING)

    assert lane.full
    assert (state.claim_wake.is_set(), state.pause_wake.is_set()) == (True, True)
    assert not state.membership_wake.is_set()


def test_lanes_and_suspects_follow_the_clock_of_the_worker() -> None:
    clock = MonotonicClock()
    state = worker_state({"loop": 1}, clock)
    lane, suspects = state.lanes["loop"], state.in_flight.suspects
    lane.note_refusal()
    suspects.choose_next(DispatchRecord(id="job", losses=4), others_wait=False)
    assert (lane.capacity, suspects.seconds_to_next_change()) == (2, patience(4))

    clock.now += 1
    assert (lane.capacity, suspects.seconds_to_next_change()) == (1, patience(4) - 1)


def test_a_type_is_busy_while_its_lane_has_no_free_slot() -> None:
    clock = MonotonicClock()
    state = worker_state({"loop": 2, "thread": 1}, clock, {"b": "loop", "a": "loop", "c": "thread"})
    assert state.busy_types == []
    state.lanes["loop"].hold()
    assert state.busy_types == []
    state.lanes["loop"].hold()
    assert state.busy_types == ["a", "b"]
    state.lanes["loop"].release()
    assert state.busy_types == []


def test_all_types_are_busy_while_the_worker_gets_empty_for_a_suspect() -> None:
    state = worker_state({"loop": 2, "thread": 1}, MonotonicClock(), {"a": "loop", "c": "thread"})
    state.in_flight.suspects.choose_next(DispatchRecord(id="job", losses=4), others_wait=False)
    assert state.busy_types == ["a", "c"]
    state.in_flight.suspects.choose_next(None, others_wait=False)
    assert state.busy_types == []
