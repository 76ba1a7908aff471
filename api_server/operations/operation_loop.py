"""The loop that runs operations on many jobs: one at a time, in the order of their creation.

All that it knows of an operation is stored, so any server can go on after a crash. Each batch is recorded
before its jobs are changed, and counted afterwards. A batch that was not counted is done again, which changes
no job twice: the changes of an operation have one call id.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.domain.operation import Batch, Kind, Operation, Refusal, State
from api_server.domain.resolution import Applied
from api_server.operations.job_walk import JobWalk
from api_server.operations.ports import OperationStore, UnfinishedJobs
from api_server.ports import Clock, Dispatcher, JobStore

log = structlog.get_logger()

IDLE_SECONDS = 2.0
"""How often the loop looks for an operation that another server was asked for."""
SHORTEST_PAUSE, PAUSE_RATIO = 0.05, 2.0
"""Seconds between two batches: at least twice the time that a batch took. So an operation leaves two thirds
of the time to others.
"""
MAX_ERRORS = 5
"""After this number of unexpected errors in a row the operation has failed, so that others get their turn."""


class OperationLoop:
    """Runs until it is cancelled, while this server leads."""

    def __init__(
        self,
        store: OperationStore,
        jobs: JobStore,
        unfinished: UnfinishedJobs,
        dispatcher: Dispatcher,
        clock: Clock,
        leads: Callable[[], bool],
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._walk = JobWalk(jobs, unfinished)
        self._dispatcher = dispatcher
        self._clock = clock
        self._leads = leads
        self._woken = asyncio.Event()
        self._present: Operation | None = None
        self._errors = 0

    def wake(self) -> None:
        """Look for an operation now."""
        self._woken.set()

    async def run(self) -> None:
        """Run operations. An error ends neither the loop nor, before MAX_ERRORS, the operation."""
        while True:
            pause: float | None = None
            try:
                pause = await self.step()
                self._errors = 0
            except StoreUnavailable:
                pass  # The store has logged the outage.
            except Exception:
                log.exception("operation_step_failed", operation=str(self._present and self._present.id))
                await self._count_error()
            await self._rest(pause)

    async def step(self) -> float | None:
        """Do one batch. Returns the seconds until the next one; None: there is nothing to do now."""
        self._present = None
        self._woken.clear()
        if not self._leads():
            return None
        operation = self._present = await self._store.next_unfinished()
        if operation is None:
            return None
        begin = time.monotonic()
        await self._advance(operation)
        return max(SHORTEST_PAUSE, PAUSE_RATIO * (time.monotonic() - begin))

    async def _advance(self, operation: Operation) -> None:
        if operation.has_tried_all:
            await self._end(operation, State.FINISHED)
            return
        batch = operation.batch
        if batch is None:
            batch = await self._walk.next_batch(operation)
            if not await self._store.begin_batch(operation, batch, self._clock.now()):
                # It has ended, or another server has recorded a batch: the next step reads it again.
                return
        await self._change(operation, batch)

    async def _change(self, operation: Operation, batch: Batch) -> None:
        """Change the jobs of the recorded batch, and count them."""
        now = self._clock.now()
        transitions = [operation.transition(job_id, now) for job_id in batch.job_ids]
        outcomes = await self._jobs.apply(transitions) if transitions else []
        refusals = [
            Refusal(job_id, outcome.reason, outcome.message)
            for job_id, outcome in zip(batch.job_ids, outcomes, strict=True)
            if not isinstance(outcome, Applied)
        ]
        if operation.kind is Kind.BULK_CANCEL:
            self._dispatcher.jobs_withdrawn(batch.job_ids)
        await self._store.end_batch(operation, batch, refusals, self._clock.now())
        if batch.next_after is None:
            await self._end(operation, State.FINISHED)

    async def _end(self, operation: Operation, state: State) -> None:
        await self._store.end(operation.id, state, self._clock.now())
        log.info("operation_ended", operation=str(operation.id), kind=operation.kind.value, state=state.value)

    async def _count_error(self) -> None:
        self._errors += 1
        if self._errors < MAX_ERRORS or self._present is None:
            return
        self._errors = 0
        try:
            await self._end(self._present, State.FAILED)
        except Exception:
            log.exception("operation_not_ended", operation=str(self._present.id))

    async def _rest(self, pause: float | None) -> None:
        if pause is not None:
            await asyncio.sleep(pause)
            return
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass
