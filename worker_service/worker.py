"""A worker's life: all parts run side by side until the worker is asked to stop. Then it ends in order."""

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import structlog

from contract_runtime.topics import topic_of
from service_runtime.log_values import repr_of
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import Claimed
from worker_service.claiming.slow_lanes import watch_waits
from worker_service.claiming.stuck_lanes import watch_lanes
from worker_service.claiming.worker_state import WorkerState
from worker_service.control.heartbeat import Heartbeat
from worker_service.control.membership import Membership
from worker_service.control.registration import NameTaken
from worker_service.execution.outcome import Interrupted
from worker_service.execution.runner import Runner
from worker_service.handler_api.handler import RunIn
from worker_service.kafka.committer import Committer
from worker_service.kafka.consumer import JobConsumer
from worker_service.kafka.ports import HealthStatus
from worker_service.reporting.log_sender import LogSender
from worker_service.reporting.reporter import Reporter

log = structlog.get_logger()

CLAIM_SECONDS = 3.0
REPORT_SECONDS = 5.0
LOG_SECONDS = 3.0
COMMIT_SECONDS = 2.0
END_SECONDS = 6.0
"""How long a cancelled part may take to end. Longer than the consumer takes to close."""
OTHERS_END_SECONDS = 1.0
SERVER_GRACE_SECONDS = 1.0


class PartEnded(Exception):
    """A part that works until it is cancelled has ended by itself."""


class ControlServer(HealthStatus, Protocol):
    """The server of the worker's own RPCs."""

    async def stop(self, grace: float) -> None:
        """Take no new calls, and wait `grace` seconds at most for calls under way."""


@dataclass(frozen=True, slots=True)
class JobPath:
    """The parts that a job passes, in its order."""

    consumer: JobConsumer
    committer: Committer
    claimer: Claimer
    runner: Runner
    reporter: Reporter
    logs: LogSender


@dataclass(frozen=True, slots=True)
class _Tasks:
    """The tasks of the parts, by when they end in a shutdown."""

    consuming: asyncio.Task[None]
    claiming: asyncio.Task[None]
    committing: asyncio.Task[None]
    outcomes: Sequence[asyncio.Task[None]]
    """The runner and the reporter."""
    others: Sequence[asyncio.Task[None]]

    @property
    def all(self) -> list[asyncio.Task[None]]:
        return [self.consuming, self.claiming, self.committing, *self.outcomes, *self.others]


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts, put together by bootstrap.

    `drain_timeout`: seconds that jobs in flight get at shutdown. `loop_timeout`: seconds that a handler may
    block the event loop of the handlers.
    """

    state: WorkerState
    path: JobPath
    heartbeat: Heartbeat
    membership: Membership
    server: ControlServer
    drain_timeout: float
    loop_timeout: float

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set or a part fails, then shut down in order.

        Raises the failure of the part.
        """
        tasks = self._start()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *tasks.all], return_when=asyncio.FIRST_COMPLETED)
        failure = next((_failure(task) for task in tasks.all if task.done()), None)
        if failure is not None:
            log.error("part_failed", problem=repr_of(failure))
        # The process that has taken this worker's name has ended its claims. Their outcomes would be refused.
        patience = 0.0 if isinstance(failure, NameTaken) else self.drain_timeout
        log.info("draining", in_flight=len(self.state.in_flight.held), drain_timeout=patience)
        await self._stop_claiming(tasks)
        await self._leave_group(tasks)
        await self._finish_jobs(tasks, patience)
        await _end([stopping, *tasks.outcomes, *tasks.others], OTHERS_END_SECONDS)
        if not self.state.in_flight.held:
            # A heartbeat that names jobs would keep their leases, and would keep this worker's name from its
            # successor.
            await self.heartbeat.send_last()
        log.info("drained", **asdict(self.state.totals))
        if failure is not None:
            raise failure

    def _start(self) -> _Tasks:
        def start(*parts: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
            return [asyncio.create_task(part) for part in parts]

        path = self.path
        consuming, claiming, committing = start(
            self._consume(), path.claimer.run(), path.committer.run(path.consumer)
        )
        return _Tasks(
            consuming,
            claiming,
            committing,
            outcomes=start(path.runner.run(), path.reporter.run()),
            others=start(
                path.logs.run(),
                self.heartbeat.run(),
                watch_lanes(self.state.lanes),
                watch_waits(self.state.lanes),
                path.runner.watch(self.loop_timeout),
            ),
        )

    async def _consume(self) -> None:
        await self.heartbeat.registered.wait()
        self.path.consumer.may_be_missing = frozenset(map(topic_of, self.state.untaken_types))
        await self.membership.run()

    async def _stop_claiming(self, tasks: _Tasks) -> None:
        # Before any heartbeat says `draining`: a worker that drains with no job in flight gives up its name.
        self.path.claimer.close()
        self.heartbeat.draining = True
        await self.server.set_serving(False)
        await _end([tasks.consuming], END_SECONDS)
        await self.path.claimer.wait_idle(CLAIM_SECONDS)
        await _end([tasks.claiming], END_SECONDS)
        self._release_unanswered_claims()

    def _release_unanswered_claims(self) -> None:
        """Such a job may be this worker's already, or its claim may still be on its way."""
        in_flight = self.state.in_flight
        for claiming in list(in_flight.claiming.values()):
            claimed = Claimed(claiming.record, claiming.lane, claiming.record.attempt + 1)
            in_flight.move_to_held(claimed)
            self.path.reporter.put(claimed, Interrupted())

    async def _leave_group(self, tasks: _Tasks) -> None:
        """Before the wait for running jobs, so that others get this worker's partitions and released jobs at
        once.
        """
        await self.path.committer.flush(self.path.consumer, COMMIT_SECONDS)
        await _end([tasks.committing], END_SECONDS)
        await self.path.consumer.close()

    async def _finish_jobs(self, tasks: _Tasks, patience: float) -> None:
        if not await self.path.runner.wait_idle(patience):
            log.warning("drain_timed_out", in_flight=len(self.state.in_flight.held))
            await self._release({"loop", "process"}, tasks.outcomes)
        await self._flush_reports()
        await self.server.stop(SERVER_GRACE_SECONDS)
        # A thread cannot be stopped. Its job is released only now, when the end of the process is near:
        # otherwise the job would run in two places.
        await self._release({"thread"}, tasks.outcomes)
        await self._flush_reports()

    async def _release(self, modes: Collection[RunIn], outcomes: Sequence[asyncio.Task[None]]) -> None:
        """Release the jobs that run in these ways, unless the runner or the reporter has failed.

        An outcome may be the cause of that failure. A released job has neither failed nor lost a worker, so
        it would end the next worker in the same way, and so on for ever. So this worker keeps its jobs, and
        its successor ends them as lost.
        """
        if not any(part.done() for part in outcomes):
            await self.path.runner.interrupt(modes)
        elif self.state.in_flight.held:
            log.error("jobs_left_to_be_lost", job_ids=list(self.state.in_flight.held))

    async def _flush_reports(self) -> None:
        if not await self.path.reporter.flush(REPORT_SECONDS):
            log.error("reports_not_sent", job_ids=list(self.state.in_flight.held))
        if not await self.path.logs.flush(LOG_SECONDS):
            log.error("job_logs_not_sent")


def _failure(part: asyncio.Task[None]) -> BaseException:
    """Why a part that should never end has ended."""
    error = None if part.cancelled() else part.exception()
    return error or PartEnded("a part of the worker ended by itself")


async def _end(tasks: Sequence[asyncio.Task[Any]], seconds: float) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=seconds)
