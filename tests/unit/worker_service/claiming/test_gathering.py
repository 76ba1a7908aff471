"""Which records become claims: none of a job that is in flight, and no more than the lanes can take."""

import pytest

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from tests.unit.worker_service.worker_fakes import JobsTaken, RecordsTaken, worker_state
from worker_service.api.call_slots import MAX_ITEMS
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.gathering import Gatherer
from worker_service.claiming.in_flight import Claimed
from worker_service.kafka.offsets import Partition, Ticket

P, Q = Partition("jobs.compute", 0), Partition("jobs.compute", 1)


class Gathering:
    """A gatherer with two lanes, and what it hands over."""

    def __init__(self) -> None:
        self.jobs, self.records = JobsTaken(), RecordsTaken()
        self.state = worker_state({"loop": 2, "thread": MAX_ITEMS})
        self.in_flight = self.state.in_flight
        self.gatherer = Gatherer(self.state, self.jobs, self.records)

    def add(self, job_id: str, offset: int, attempt: int = 0, lane: str = "loop", at: Partition = P) -> None:
        record = DispatchRecord(id=job_id, type="compute", attempt=attempt)
        self.state.lanes[lane].add(WaitingRecord(record, Ticket(at, 1, offset), size=1))

    def gathered(self) -> list[list[str]]:
        """The jobs to claim now, by calls."""
        return [[claiming.record.id for claiming in batch] for batch in self.gatherer.gather()]

    def hold(self, job_id: str, attempt: int) -> Claimed:
        """A claim of this job is accepted."""
        claiming = self.in_flight.claiming[job_id]
        claimed = Claimed(claiming.record, claiming.lane, attempt)
        self.in_flight.move_to_held(claimed)
        return claimed


@pytest.fixture
def gathering() -> Gathering:
    return Gathering()


def test_a_lane_gives_no_more_jobs_than_its_capacity_and_others_give_theirs(gathering: Gathering) -> None:
    for offset in range(4):
        gathering.add(f"a{offset}", offset)
    gathering.add("b", 4, lane="thread")

    assert gathering.gatherer.claimable == 3
    assert gathering.gathered() == [["a0", "a1", "b"]]
    assert gathering.gatherer.claimable == 0
    assert gathering.gathered() == []


def test_a_call_has_a_limited_number_of_jobs_from_all_lanes_together(gathering: Gathering) -> None:
    gathering.add("a", 0)
    for offset in range(1, MAX_ITEMS + 1):
        gathering.add(f"b{offset}", offset, lane="thread")

    assert [len(batch) for batch in gathering.gathered()] == [MAX_ITEMS]
    assert gathering.gathered() == [[f"b{MAX_ITEMS}"]]


def test_a_duplicate_of_a_job_that_is_being_claimed_takes_no_place_and_ends_with_the_claim(
    gathering: Gathering,
) -> None:
    gathering.add("a", 0, attempt=1)
    gathering.add("a", 1, attempt=1)
    gathering.add("a", 2, attempt=0)
    gathering.add("b", 3)

    assert gathering.gathered() == [["a", "b"]]
    assert [ticket.offset for ticket in gathering.in_flight.claiming["a"].tickets] == [0, 1, 2]
    assert gathering.records.finished == []


def test_a_later_record_of_a_job_that_is_being_claimed_waits_for_the_end_of_that_claim(
    gathering: Gathering,
) -> None:
    gathering.add("a", 0, attempt=0)
    gathering.add("a", 1, attempt=1)
    assert gathering.gathered() == [["a"]]
    assert gathering.gathered() == []
    assert [ticket.offset for ticket in gathering.in_flight.claiming["a"].tickets] == [0]

    gathering.in_flight.remove(gathering.in_flight.claiming["a"])

    assert gathering.gathered() == [["a"]]
    assert gathering.in_flight.claiming["a"].record.attempt == 1


def test_an_earlier_record_of_a_held_job_is_refused(gathering: Gathering) -> None:
    gathering.add("a", 0, attempt=2)
    gathering.gathered()
    held = gathering.hold("a", attempt=3)
    gathering.add("a", 1, attempt=2)

    assert gathering.gathered() == []
    assert (gathering.records.finished, gathering.state.totals.refused) == ([1], 1)
    assert gathering.in_flight.held == {"a": held}
    assert gathering.jobs.given_up == []
    assert not gathering.in_flight.has_successor("a")


def test_a_record_published_after_the_claim_of_a_held_job_shows_that_the_claim_is_lost(
    gathering: Gathering,
) -> None:
    gathering.add("a", 0, attempt=2)
    gathering.gathered()
    held = gathering.hold("a", attempt=3)
    gathering.add("a", 1, attempt=3)

    assert gathering.gathered() == []
    assert gathering.jobs.given_up == [held]
    assert (gathering.records.finished, gathering.state.totals.refused) == ([], 0)

    gathering.in_flight.remove(held)
    assert gathering.gathered() == [["a"]]


def test_a_later_record_is_forgotten_when_its_partition_is_revoked(gathering: Gathering) -> None:
    gathering.add("a", 0, attempt=0)
    gathering.gathered()
    for offset, partition in enumerate([P, Q, P]):
        gathering.add("a", offset, attempt=1 + offset, at=partition)
    gathering.gathered()

    gathering.in_flight.drop_successors({P})
    assert gathering.in_flight.has_successor("a")
    gathering.in_flight.remove(gathering.in_flight.claiming["a"])
    assert gathering.gathered() == [["a"]]
    assert gathering.in_flight.claiming["a"].record.attempt == 2

    gathering.add("a", 3, attempt=9)
    gathering.gathered()
    gathering.in_flight.drop_successors({P})
    assert not gathering.in_flight.has_successor("a")
