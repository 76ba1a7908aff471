"""A worker's life: everything runs side by side until the worker is asked to stop, then it ends in order."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from service_runtime.log_values import repr_of
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import Claimed, InFlightJobs
from worker_service.claiming.lanes import Lane
from worker_service.claiming.slow_lanes import watch_waits
from worker_service.claiming.stuck_lanes import watch_lanes
from worker_service.control.heartbeat import Heartbeat
from worker_service.control.membership import Membership
from worker_service.control.registration import NameTaken
from worker_service.execution.outcome import Interrupted
from worker_service.execution.runner import Runner
from worker_service.handler_api.handler import RunIn
from worker_service.kafka.committer import Committer
from worker_service.kafka.consumer import JobConsumer
from worker_service.reporting.reporter import Reporter
from worker_service.state.totals import Totals

log = structlog.get_logger()

CLAIM_SECONDS = 3.0
REPORT_SECONDS = 5.0
COMMIT_SECONDS = 2.0
END_SECONDS = 6.0
"""How long a part may take to end when it is cancelled; longer than the consumer takes to close."""
OTHERS_END_SECONDS = 1.0


class PartEnded(Exception):
    """A part that works until it is cancelled has ended without being told to."""


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts, wired by bootstrap. `drain_timeout`: seconds that jobs in hand get at shutdown. `loop_timeout`: seconds that
    a handler may hold up the others of the event loop.
    """

    heartbeat: Heartbeat
    membership: Membership
    consumer: JobConsumer
    committer: Committer
    claimer: Claimer
    runner: Runner
    reporter: Reporter
    in_flight: InFlightJobs
    totals: Totals
    lanes: Mapping[str, Lane]
    set_serving: Callable[[bool], Awaitable[None]]
    stop_serving: Callable[[], Awaitable[None]]
    drain_timeout: float
    loop_timeout: float

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set or a part fails, then shut down in order. Raises what the part failed of."""
        consuming = asyncio.create_task(self._consume())
        claiming = asyncio.create_task(self.claimer.run())
        committing = asyncio.create_task(self.committer.run(self.consumer))
        outcomes = [asyncio.create_task(part) for part in (self.runner.run(), self.reporter.run())]
        others = [
            *outcomes,
            *(
                asyncio.create_task(part)
                for part in (
                    self.heartbeat.run(),
                    watch_lanes(self.lanes),
                    watch_waits(self.lanes),
                    self.runner.watch(self.loop_timeout),
                )
            ),
        ]
        stopping = asyncio.create_task(stop.wait())
        parts = [consuming, claiming, committing, *others]
        await asyncio.wait([stopping, *parts], return_when=asyncio.FIRST_COMPLETED)
        failure = next((_failure(task) for task in parts if task.done()), None)
        if failure is not None:
            log.error("part_failed", problem=repr_of(failure))
        # Whoever has this worker's name now has ended its claims: nobody waits for what its handlers still do.
        patience = 0.0 if isinstance(failure, NameTaken) else self.drain_timeout
        log.info("draining", in_hand=len(self.in_flight.held), drain_timeout=patience)
        # Before any heartbeat says so: one that drains and has nothing in hand gives up its name.
        self.claimer.close()
        self.heartbeat.draining = True
        await self.set_serving(False)
        await _end([consuming], END_SECONDS)
        await self.claimer.quiet(CLAIM_SECONDS)
        await _end([claiming], END_SECONDS)
        self._hand_back_unanswered_claims()
        # Before the wait for jobs in hand: else what lies in this worker's partitions, and what it hands back, would
        # wait with it.
        await self.committer.flush(self.consumer, COMMIT_SECONDS)
        await _end([committing], END_SECONDS)
        await self.consumer.close()
        await self._empty_hand(patience, outcomes)
        await self.stop_serving()
        # A thread cannot be stopped. Its job is handed back when the end of the process, and so of the thread, is all
        # that is left: it is not to run in two places.
        await self._hand_back({"thread"}, outcomes)
        await self._flush_reports()
        await _end([stopping, *others], OTHERS_END_SECONDS)
        if not self.in_flight.held:
            # A heartbeat that names jobs would keep their leases, and this worker's name from its successor.
            await self.heartbeat.beat_for_the_last_time()
        log.info("drained", **asdict(self.totals))
        if failure is not None:
            raise failure

    async def _consume(self) -> None:
        await self.heartbeat.registered.wait()
        await self.membership.run()

    def _hand_back_unanswered_claims(self) -> None:
        """Such a job may be this worker's already, or become so by a claim that is still on its way."""
        for claiming in list(self.in_flight.claiming.values()):
            claimed = Claimed(claiming.record, claiming.lane, claiming.record.attempt + 1)
            self.in_flight.move_to_held(claimed)
            self.reporter.put(claimed, Interrupted())

    async def _empty_hand(self, patience: float, outcomes: Sequence[asyncio.Task[None]]) -> None:
        if not await self.runner.idle(patience):
            log.warning("drain_timed_out", in_hand=len(self.in_flight.held))
            await self._hand_back({"loop", "process"}, outcomes)
        await self._flush_reports()

    async def _hand_back(self, modes: Collection[RunIn], outcomes: Sequence[asyncio.Task[None]]) -> None:
        """Unless one of the parts that make and report `outcomes` has failed. An outcome may be the cause then. A job that is
        handed back has neither failed nor been lost, so it would end the next worker likewise, and so on for ever. This one
        keeps what it has in hand: its successor ends that as lost.
        """
        if not any(part.done() for part in outcomes):
            await self.runner.interrupt(modes)
        elif self.in_flight.held:
            log.error("jobs_left_to_be_lost", job_ids=list(self.in_flight.held))

    async def _flush_reports(self) -> None:
        if not await self.reporter.flush(REPORT_SECONDS):
            log.error("reports_not_sent", job_ids=list(self.in_flight.held))


def _failure(part: asyncio.Task[None]) -> BaseException:
    """Why a part that should never end has ended."""
    error = None if part.cancelled() else part.exception()
    return error or PartEnded("a part of the worker ended by itself")


async def _end(tasks: Sequence[asyncio.Task[Any]], seconds: float) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=seconds)
