"""A polled record waits in the lane of its type, or is finished if it is bad."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.worker_pb2 import Fleet
from service_runtime.validation import ContractValidator
from tests.unit.worker_service.worker_fakes import JobsTaken, RecordsTaken, worker_state
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming import backlog
from worker_service.claiming import intake as intake_module
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.intake import Intake
from worker_service.kafka.offsets import OffsetTracker, Partition, Ticket

COMPUTE, FILE = Partition("jobs.compute", 0), Partition("jobs.file", 0)
JOB_ID = "01938f4e-7c3a-7b2e-9d41-3f5a6b7c8d9e"


class Intakes:
    """An intake for two types, each with its own lane."""

    def __init__(self, api: ApiClient) -> None:
        self.records = RecordsTaken()
        self.state = worker_state({"loop": 1, "thread": 1})
        self.loop, self.thread = self.state.lanes["loop"], self.state.lanes["thread"]
        self.tracker = OffsetTracker()
        self.claimer = Claimer(self.state, StatusUpdates(api), JobsTaken(), self.records, Backoff())
        self.intake = Intake(
            self.state,
            {"jobs.compute": self.loop, "jobs.file": self.thread},
            self.claimer,
            self.tracker,
            self.records,
            ContractValidator(),
        )
        for partition in (COMPUTE, FILE):
            self.tracker.assign(partition)

    def accept(self, partition: Partition, offset: int) -> None:
        job_type = partition.topic.removeprefix("jobs.")
        record = DispatchRecord(id=JOB_ID, type=job_type, payload_omitted=True)
        self.intake.accept(partition, offset, record.SerializeToString())


@pytest.fixture
async def intakes() -> AsyncIterator[Intakes]:
    async with ApiClient(["127.0.0.1:1"]) as api:
        yield Intakes(api)


async def test_a_record_waits_in_the_lane_of_its_type_with_its_size(intakes: Intakes) -> None:
    intakes.accept(FILE, 7)

    assert intakes.loop.take() is None
    waiting = intakes.thread.take()
    assert waiting is not None
    assert (waiting.record.id, waiting.ticket.offset) == (JOB_ID, 7)
    assert waiting.size == waiting.record.ByteSize()
    assert intakes.records.finished == []


async def test_a_bad_record_is_logged_counted_and_finished(intakes: Intakes) -> None:
    with capture_logs() as logs:
        intakes.intake.accept(COMPUTE, 3, b"\xff\xff")

    [line] = logs
    assert (line["event"], line["topic"], line["partition"], line["offset"]) == (
        "bad_record",
        "jobs.compute",
        0,
        3,
    )
    assert intakes.state.totals.bad_records == line["bad_records"] == 1
    assert intakes.records.finished == [3]
    assert intakes.loop.take() is None


async def test_a_record_of_a_partition_that_is_not_assigned_is_ignored(intakes: Intakes) -> None:
    intakes.tracker.revoke(COMPUTE)
    intakes.accept(COMPUTE, 1)

    assert intakes.loop.take() is None
    assert intakes.records.finished == []


async def test_records_of_a_type_are_wanted_while_the_desired_state_allows_it(intakes: Intakes) -> None:
    assert not intakes.intake.wants("jobs.compute")

    intakes.state.desired.receive(Fleet(consuming=True, revision=1, stopped_types=["file"]))

    assert intakes.intake.wants("jobs.compute")
    assert not intakes.intake.wants("jobs.file")


async def test_no_record_is_wanted_while_claims_fail(intakes: Intakes) -> None:
    intakes.state.desired.receive(Fleet(consuming=True, revision=1))
    intakes.claimer.in_trouble = True

    assert not intakes.intake.wants("jobs.compute")


async def test_a_full_lane_wants_no_records_and_the_other_lane_does(
    intakes: Intakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "FULL_RECORDS", 2)
    intakes.state.desired.receive(Fleet(consuming=True, revision=1))
    intakes.accept(COMPUTE, 0)
    intakes.accept(COMPUTE, 1)

    assert not intakes.intake.wants("jobs.compute")
    assert intakes.intake.wants("jobs.file")


async def test_waiting_records_are_forgotten_when_their_partition_is_revoked(intakes: Intakes) -> None:
    intakes.accept(COMPUTE, 0)
    intakes.accept(FILE, 0)

    await intakes.intake.revoked({COMPUTE})

    assert intakes.loop.take() is None
    assert intakes.thread.take() is not None


async def test_a_revocation_waits_a_moment_for_claims_under_way(
    intakes: Intakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    intakes.claimer._idle.clear()
    waiting = asyncio.create_task(intakes.intake.revoked({COMPUTE}))
    for _ in range(10):  # turns of the loop, in which it would end if it did not wait
        await asyncio.sleep(0)
    assert not waiting.done()
    intakes.claimer._idle.set()
    await waiting

    monkeypatch.setattr(intake_module, "REVOKE_SECONDS", 0.01)
    intakes.claimer._idle.clear()
    await intakes.intake.revoked({COMPUTE})


async def test_later_records_of_jobs_in_flight_are_forgotten_with_their_partition(intakes: Intakes) -> None:
    for partition in (COMPUTE, FILE):
        record = DispatchRecord(id=partition.topic, type="compute", payload_omitted=True)
        intakes.state.in_flight.add_successor(WaitingRecord(record, Ticket(partition, 1, 0), 1))

    await intakes.intake.revoked({COMPUTE})

    has_successor = intakes.state.in_flight.has_successor
    assert (has_successor(COMPUTE.topic), has_successor(FILE.topic)) == (False, True)
