"""Runs claimed jobs and hands their outcomes over to the reporter.

A job runs in its own task. Plain handlers of the event loop are shorter than a task: they run in turn.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog

from contract_runtime.structs import StructError, struct_to_dict
from service_runtime.waiting import ends_within
from worker_service.claiming.in_flight import Claimed, InFlightJobs
from worker_service.claiming.ports import ClaimedJobs
from worker_service.execution.executor import Executor
from worker_service.execution.inline_runs import InlineRuns
from worker_service.execution.loop_watch import LoopStuck
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Reason
from worker_service.execution.payloads import JobGone, Payloads, job_from_record
from worker_service.execution.ports import OutcomeSink
from worker_service.execution.progress_board import LatestProgress, ProgressBoard
from worker_service.execution.slot import Slot
from worker_service.handler_api.handler import RunIn
from worker_service.handler_api.job import Job
from worker_service.handler_api.progress import ProgressUpdate
from worker_service.handlers.registry import HandlerSpec

log = structlog.get_logger()

INTERRUPT_SECONDS = 5.0
"""How long a handler may take to stop after it was asked to."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A job that runs in a task and has no outcome yet."""

    claimed: Claimed
    run_in: RunIn
    task: asyncio.Task[None]


class _InlineRun(NamedTuple):
    """The outcome of a job of a plain handler, and how long it took, in seconds."""

    outcome: Outcome
    seconds: float


class _SlotListener:
    """A RunListener: stores a job's progress, and keeps the slot of a handler that could not be stopped."""

    def __init__(self, claimed: Claimed, slot: Slot, latest: LatestProgress) -> None:
        self._claimed = claimed
        self._slot = slot
        self._latest = latest

    def on_progress(self, update: ProgressUpdate) -> None:
        self._latest.update(update)

    def on_left_running(self, handler: asyncio.Future[Any]) -> None:
        _log_not_stopped(self._claimed)
        self._slot.keep_until(handler)


class Runner(ClaimedJobs):
    """A job beyond its lane's limit waits here until another job of the lane ends."""

    def __init__(
        self,
        handlers: Mapping[str, HandlerSpec],
        executor: Executor,
        payloads: Payloads,
        board: ProgressBoard,
        outcomes: OutcomeSink,
        in_flight: InFlightJobs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`handlers` by job type. `outcomes` takes the outcome of each job that was not given up."""
        self._handlers = handlers
        self._executor = executor
        self._payloads = payloads
        self._board = board
        self._outcomes = outcomes
        self._in_flight = in_flight
        self._clock = clock
        self._group = asyncio.TaskGroup()
        self._running: dict[str, _Run] = {}
        """The jobs that have a task, by id."""
        self._inline: InlineRuns[_InlineRun | None] = InlineRuns(
            executor.handlers, run_job=self._run_inline, end_job=self._end_inline, fail_job=outcomes.put
        )
        self._interrupted: set[Claimed] = set()

    async def run(self) -> None:
        """Keep the jobs' tasks until cancelled.

        Raises a fault of these tasks; a handler's own failure is an outcome.
        """
        async with self._group:
            await self._inline.run()

    async def watch(self, limit: float) -> None:
        """Until cancelled: fail the job that blocks the handlers' loop for `limit` seconds.

        Raises LoopStuck when the loop cannot be saved. Its jobs have been released by then.
        """
        try:
            await self._executor.watch(limit)
        except LoopStuck:
            self._inline.fail_all(Interrupted())
            raise

    def start(self, claimed: Claimed) -> None:
        """Run this job."""
        if (
            self._handlers[claimed.type].is_inline
            and not claimed.record.payload_omitted
            and not self._executor.handlers.is_lost
        ):
            self._inline.add(claimed)
        else:
            self._start_task(claimed)

    def _start_task(self, claimed: Claimed) -> None:
        task = self._group.create_task(self._run(claimed))
        self._running[claimed.id] = _Run(claimed, self._handlers[claimed.type].run_in, task)

    def give_up(self, claimed: Claimed) -> None:
        """Stop this job without a report: it was cancelled, or its claim is lost.

        Does nothing for a job whose outcome is being reported, and for a plain handler of the loop that has
        begun: nothing can stop it. The report then removes the job from the table.
        """
        if self._inline.remove(claimed):
            _log_given_up(claimed)
            self._in_flight.remove(claimed)
            return
        run = self._running.get(claimed.id)
        if run is None:
            return
        del self._running[claimed.id]
        _log_given_up(claimed)
        # The handler may take a while to stop. Until then it occupies its place in the lane.
        claimed.lane.hold()
        run.task.add_done_callback(lambda _task: claimed.lane.release())
        self._cancel(run)
        self._in_flight.remove(claimed)

    async def wait_idle(self, seconds: float) -> bool:
        """Wait, for `seconds` at most, until no job is running; whether that happened."""
        return await ends_within(seconds, self._idle()) and not self._running

    async def _idle(self) -> None:
        await self._inline.idle()
        if self._running:
            await asyncio.wait([run.task for run in self._running.values()])

    async def interrupt(self, modes: Collection[RunIn]) -> None:
        """Release the jobs that run in these ways.

        A thread cannot be stopped: it runs on, and its result is not used. So does a handler that does not
        stop within INTERRUPT_SECONDS.
        """
        if "loop" in modes:
            for claimed in self._inline.remove_all():
                self._outcomes.put(claimed, Interrupted())
        runs = [run for run in self._running.values() if run.run_in in modes]
        for run in runs:
            self._cancel(run)
        waits: list[asyncio.Future[Any]] = [run.task for run in runs]
        if "loop" in modes:
            waits.append(asyncio.ensure_future(self._inline.idle()))
        if waits:
            await asyncio.wait(waits, timeout=INTERRUPT_SECONDS)
        if "loop" in modes:
            waits[-1].cancel()
            self._inline.fail_all(Interrupted())
        for run in runs:
            if not run.task.done():
                _log_not_stopped(run.claimed)
            # Also for a task that was cancelled before it began.
            self._end(run.claimed, Interrupted())

    def _cancel(self, run: _Run) -> None:
        self._interrupted.add(run.claimed)
        run.task.add_done_callback(lambda _task: self._interrupted.discard(run.claimed))
        run.task.cancel()

    def _end(self, claimed: Claimed, outcome: Outcome) -> None:
        """Report a job, unless it was given up or reported already."""
        run = self._running.get(claimed.id)
        if run is not None and run.claimed is claimed:
            del self._running[claimed.id]
            self._outcomes.put(claimed, outcome)

    def _run_inline(self, claimed: Claimed) -> _InlineRun | None:
        """Called in the handlers' thread. None: the payload in the record is not usable."""
        try:
            payload = struct_to_dict(claimed.record.payload)
        except StructError:
            return None
        started = self._clock()
        # Progress could be sent only after the handler has ended, so it is not collected.
        job = job_from_record(claimed, payload)
        outcome = self._executor.run_inline(self._handlers[claimed.type], job, seconds=job.timeout)
        return _InlineRun(outcome, self._clock() - started)

    def _end_inline(self, claimed: Claimed, run: _InlineRun | None) -> None:
        if run is None:
            self._start_task(claimed)
            return
        claimed.lane.note_run(run.seconds)
        self._outcomes.put(claimed, run.outcome)

    async def _run(self, claimed: Claimed) -> None:
        try:
            async with Slot(claimed.lane) as slot:
                started = self._clock()
                outcome = await self._outcome(claimed, slot)
                if not slot.is_kept:
                    claimed.lane.note_run(self._clock() - started)
        except asyncio.CancelledError:
            if claimed not in self._interrupted:
                raise
            outcome = Interrupted()
        self._end(claimed, outcome)

    async def _outcome(self, claimed: Claimed, slot: Slot) -> Outcome:
        try:
            async with self._payloads.of(claimed) as job:
                return await self._outcome_of(claimed, job, slot)
        except JobGone:
            return Failed(Reason.HANDLER_ERROR, "the job does not exist any more", permanent=True)

    async def _outcome_of(self, claimed: Claimed, job: Job, slot: Slot) -> Outcome:
        latest = self._board.open(claimed.id, claimed.attempt)
        try:
            return await self._executor.run(
                self._handlers[claimed.type],
                job,
                seconds=job.timeout,
                listener=_SlotListener(claimed, slot, latest),
            )
        finally:
            self._board.close(latest)


def _log_given_up(job: Claimed) -> None:
    log.info("job_given_up", job_id=job.id, type=job.type, attempt=job.attempt)


def _log_not_stopped(job: Claimed) -> None:
    log.warning("handler_not_stopped", job_id=job.id, type=job.type, attempt=job.attempt)
