"""A job ends exactly once: with its outcome, by its release or, when its claim is lost, without a report."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.job_pb2 import Job as JobMessage
from tests.unit.worker_service import sample_handlers
from tests.unit.worker_service.job_service_fake import api_of
from tests.waiting import until
from worker_service import Job
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.claiming.in_flight import Claimed, Claiming, InFlightJobs
from worker_service.claiming.lanes import Lane
from worker_service.claiming.suspects import Suspects
from worker_service.execution import executor
from worker_service.execution import runner as running
from worker_service.execution.executor import Executor
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Succeeded
from worker_service.execution.payloads import Payloads
from worker_service.execution.ports import OutcomeSink
from worker_service.execution.progress_board import ProgressBoard
from worker_service.execution.runner import Runner
from worker_service.handler_api.handler import HandlerSpec, handlers_in

DEADLINE = 20.0
ENDLESS = {"act-async": "forever", "act-process": "hang"}
"""Job types that can be stopped, and the key of a payload that lets them touch a file and never end."""


class Jobs(OutcomeSink):
    """A runner with a lane of one slot, and the outcomes of its jobs.

    `release` lets stubborn handlers end.
    """

    def __init__(self, executor: Executor, api: ApiClient) -> None:
        self.reports: list[tuple[Claimed, Outcome]] = []
        self.in_flight = InFlightJobs(Suspects())
        self.board = ProgressBoard()
        self.begun, self.release = threading.Event(), threading.Event()
        specs = [*handlers_in(sample_handlers), HandlerSpec("stubborn", self._stubborn, "loop")]
        self.runner = Runner(
            {spec.type: spec for spec in specs},
            executor,
            Payloads(api, Backoff),
            self.board,
            self,
            self.in_flight,
        )
        self.lane = Lane(1, on_work=lambda: None, on_full_change=lambda: None)

    def start(
        self, job_type: str, attempt: int, payload: dict[str, Any], timeout: Duration | None = None
    ) -> Claimed:
        record = DispatchRecord(id="job", type=job_type, attempt=attempt - 1, timeout=timeout)
        record.payload.update(payload)
        return self.start_record(record, attempt)

    def start_record(self, record: DispatchRecord, attempt: int) -> Claimed:
        claimed = Claimed(record, self.lane, attempt)
        self.lane.hold()
        self.in_flight.begin_claiming(Claiming(record, self.lane))
        self.in_flight.move_to_held(claimed)
        self.runner.start(claimed)
        return claimed

    def put(self, claimed: Claimed, outcome: Outcome) -> None:
        self.reports.append((claimed, outcome))
        self.in_flight.remove(claimed)

    async def _stubborn(self, _job: Job) -> dict[str, Any]:
        self.begun.set()
        while not self.release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
        return {}


@pytest.fixture
async def jobs() -> AsyncIterator[Jobs]:
    runs = Executor(threads=2, processes=1)
    async with ApiClient(["127.0.0.1:1"]) as api:
        jobs = Jobs(runs, api)
        working = asyncio.create_task(jobs.runner.run())
        yield jobs
        jobs.release.set()
        working.cancel()
        await asyncio.wait([working])
        await runs.close()


@pytest.mark.parametrize("way", ENDLESS)
async def test_a_job_whose_claim_is_lost_is_not_reported_and_the_next_job_gets_its_slot(
    jobs: Jobs, tmp_path: Path, way: str
) -> None:
    begun = tmp_path / "begun"
    lost = jobs.start(way, 1, {ENDLESS[way]: str(begun)})
    await until(begun.exists)

    jobs.runner.give_up(lost)
    assert jobs.in_flight.held == {}
    following = jobs.start(way, 2, {})
    await until(lambda: bool(jobs.reports))

    assert await jobs.runner.wait_idle(DEADLINE)
    assert [(claimed, type(outcome)) for claimed, outcome in jobs.reports] == [(following, Succeeded)]


async def test_a_thread_that_was_given_up_keeps_its_slot_until_it_returns(jobs: Jobs, tmp_path: Path) -> None:
    given_up = jobs.start("act-thread", 1, {"wait_for": str(tmp_path / "end")})
    await until(lambda: bool(jobs.board._running))

    jobs.runner.give_up(given_up)
    await until(lambda: not jobs.runner._interrupted)
    following = jobs.start("act-thread", 2, {})

    assert jobs.in_flight.held == {"job": following}
    assert jobs.lane.capacity == 0
    assert not await jobs.runner.wait_idle(0.05)
    (tmp_path / "end").touch()
    assert await jobs.runner.wait_idle(DEADLINE)
    assert [claimed for claimed, _ in jobs.reports] == [following]
    await until(lambda: jobs.lane.capacity == 1)


async def test_no_job_is_claimed_in_place_of_a_handler_that_is_slow_to_stop(jobs: Jobs) -> None:
    given_up = jobs.start("stubborn", 1, {})
    await until(jobs.begun.is_set)

    jobs.runner.give_up(given_up)
    await asyncio.sleep(0)

    assert jobs.in_flight.held == {}
    assert jobs.lane.capacity == 0
    jobs.release.set()
    await until(lambda: jobs.lane.capacity == 1)
    assert jobs.reports == []


@pytest.mark.parametrize("way", ["act-thread", "stubborn"])
async def test_a_job_that_exceeds_its_timeout_fails_though_its_handler_keeps_its_slot(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(executor, "STOP_SECONDS", 0.05)
    claimed = jobs.start(way, 1, {"wait_for": str(tmp_path / "end")}, Duration(nanos=50_000_000))

    assert await jobs.runner.wait_idle(DEADLINE)

    [(reported, outcome)] = jobs.reports
    assert reported is claimed
    assert outcome == Failed("TIMEOUT", "the handler ran for longer than the job's timeout of 0.05 s")
    assert jobs.lane.capacity == 0
    (tmp_path / "end").touch()
    jobs.release.set()
    await until(lambda: jobs.lane.capacity == 1)
    assert len(jobs.reports) == 1


async def test_the_progress_of_a_job_is_on_the_board_while_it_runs(jobs: Jobs, tmp_path: Path) -> None:
    jobs.start("act-thread", 3, {"progress": [[50, "half"]], "then_wait_for": str(tmp_path / "end")})
    await until(lambda: bool(jobs.board.unsent(10)))

    [(latest, update)] = jobs.board.unsent(10).items()
    assert (latest.job_id, latest.attempt, update) == ("job", 3, (50, "half"))
    (tmp_path / "end").touch()
    assert await jobs.runner.wait_idle(DEADLINE)
    assert jobs.board.unsent(10) == {}


async def test_a_job_whose_outcome_is_being_reported_is_not_given_up(jobs: Jobs) -> None:
    claimed = jobs.start("act-async", 1, {})
    await until(lambda: bool(jobs.reports))

    jobs.in_flight.held["job"] = claimed
    jobs.runner.give_up(claimed)

    assert jobs.in_flight.held == {"job": claimed}


async def test_a_job_whose_handler_does_not_stop_is_released_and_not_reported_again(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "INTERRUPT_SECONDS", 0.05)
    claimed = jobs.start("stubborn", 1, {})
    await until(jobs.begun.is_set)

    await jobs.runner.interrupt({"loop"})
    assert jobs.reports == [(claimed, Interrupted())]
    jobs.release.set()
    jobs.start("act-async", 2, {})
    await until(lambda: len(jobs.reports) > 1)

    assert [reported.attempt for reported, _ in jobs.reports] == [1, 2]


@pytest.mark.parametrize("way", ["act-async", "act-loop"])
async def test_a_job_that_had_not_begun_is_released(jobs: Jobs, way: str) -> None:
    claimed = jobs.start(way, 1, {})

    await jobs.runner.interrupt({"loop"})

    assert jobs.reports == [(claimed, Interrupted())]
    assert await jobs.runner.wait_idle(DEADLINE)
    assert len(jobs.reports) == 1


async def test_a_waiting_plain_handler_of_the_loop_runs_on_when_threads_are_interrupted(
    jobs: Jobs,
) -> None:
    claimed = jobs.start("act-loop", 1, {})

    await jobs.runner.interrupt({"thread", "process"})
    assert await jobs.runner.wait_idle(DEADLINE)

    assert [(reported, type(outcome)) for reported, outcome in jobs.reports] == [(claimed, Succeeded)]


async def test_a_plain_handler_of_the_loop_whose_claim_is_lost_before_its_turn_is_not_run(
    jobs: Jobs, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    lost = jobs.start("act-loop", 1, {"code": f"def run(job):\n    open({str(ran)!r}, 'w').close()"})
    jobs.runner.give_up(lost)
    following = jobs.start("act-loop", 2, {})

    assert await jobs.runner.wait_idle(DEADLINE)

    assert not ran.exists()
    assert lost not in jobs.in_flight.held.values()
    assert [claimed for claimed, _ in jobs.reports] == [following]
    assert jobs.lane.capacity > 0


async def test_a_plain_handler_of_the_loop_gets_a_payload_that_was_too_large_for_the_record() -> None:
    async def get(request: Any, _context: Any) -> JobMessage:
        job = JobMessage(id=request.id)
        job.payload.update({"return": {"found": True}})
        return job

    runs = Executor(threads=1, processes=1)
    async with api_of({"Get": get}) as api:
        jobs = Jobs(runs, api)
        record = DispatchRecord(id="job", type="act-loop", payload_omitted=True)
        working = asyncio.create_task(jobs.runner.run())
        await asyncio.sleep(0)
        jobs.start_record(record, 1)
        await until(lambda: bool(jobs.reports))
        working.cancel()
        await asyncio.wait([working])

    [(_, outcome)] = jobs.reports
    assert isinstance(outcome, Succeeded)
    assert outcome.result["found"] is True
