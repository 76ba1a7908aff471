"""Groups of suspects find all jobs that crash their worker, and no other job, with few losses."""

from collections import deque
from dataclasses import dataclass
from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.attempt import MAX_LONE_LOSSES
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.claiming.suspects import (
    FIRST_PATIENCE,
    LONE_LOSSES,
    Suspects,
    group_size,
    is_lone,
    patience,
)
from worker_service.kafka.records import SUSPECT_LOSSES

CAPACITY = 500
"""How many jobs the worker holds at most."""
STEP = 1.0
"""Seconds between two steps of the worker."""


@dataclass
class Run:
    """A job as the server and the worker see it. `deadly`: whether it crashes its worker when it ends."""

    id: str
    seconds: float
    deadly: bool = False
    losses: int = 0
    lone_losses: int = 0
    alone: bool = False
    ends_at: float = 0.0

    @property
    def record(self) -> DispatchRecord:
        return DispatchRecord(id=self.id, losses=self.losses)


class Trial:
    """A worker that claims as the claimer does, and is started again whenever it is lost."""

    def __init__(self, jobs: list[Run]) -> None:
        self.waiting = deque(jobs)
        self.held: list[Run] = []
        self.completed: list[Run] = []
        self.poisoned: list[Run] = []
        self.deaths = 0
        self.time = 0.0
        self.suspects = Suspects(lambda: self.time)

    def run(self, most_deaths: int) -> None:
        while self.waiting or self.held:
            self._claim()
            self.time += STEP
            self._end_jobs()
            assert self.deaths <= most_deaths
            assert self.time < 1e6

    def _claim(self) -> None:
        if (job_id := self.suspects.past_patience()) is not None:
            self.suspects.end_solitude(job_id)
            for job in self.held:
                job.alone = False
        while (taken := self._next()) is not None:
            self.waiting.remove(taken)
            if taken.losses >= SUSPECT_LOSSES:
                taken.alone = self.suspects.begin(taken.record, idle=not self.held)
                assert not taken.alone or not self.held
            taken.ends_at = self.time + taken.seconds
            self.held.append(taken)

    def _next(self) -> Run | None:
        """The first suspect or the first other job: the one that has waited longer and may be claimed."""
        if len(self.held) >= CAPACITY:
            return None
        suspect = next((job for job in self.waiting if job.losses >= SUSPECT_LOSSES), None)
        other = next((job for job in self.waiting if job.losses < SUSPECT_LOSSES), None)
        first = suspect.record if suspect is not None and is_lone(suspect.record) else None
        self.suspects.choose_next(first, others_wait=other is not None)
        idle = not self.held
        if suspect is not None and not self.suspects.admits(suspect.record, idle=idle):
            suspect = None
        if self.suspects.closed:
            other = None
        candidates = [job for job in self.waiting if job is suspect or job is other]
        return candidates[0] if candidates else None

    def _end_jobs(self) -> None:
        for job in sorted((each for each in self.held if each.ends_at <= self.time), key=lambda x: x.ends_at):
            if job.deadly:
                self._lose_worker()
                return
            self.held.remove(job)
            self.suspects.remove(job.id)
            self.completed.append(job)

    def _lose_worker(self) -> None:
        self.deaths += 1
        for job in self.held:
            job.losses += 1
            job.lone_losses += job.alone
            job.alone = False
            (self.poisoned if job.lone_losses >= MAX_LONE_LOSSES else self.waiting).append(job)
        self.held = []
        self.suspects = Suspects(lambda: self.time)


SECONDS = st.sampled_from([1.0, 2.0, 5.0, 9.0, 15.0, 40.0, 300.0])


@given(
    innocent=st.lists(SECONDS, max_size=150),
    guilty=st.lists(st.tuples(SECONDS, st.integers(0, 150)), max_size=4),
    losses=st.integers(0, 6),
)
def test_only_the_guilty_fail_and_all_others_complete(
    innocent: list[float], guilty: list[tuple[float, int]], losses: int
) -> None:
    jobs = [Run(f"i{n}", seconds, losses=losses) for n, seconds in enumerate(innocent)]
    for number, (seconds, index) in enumerate(guilty):
        jobs.insert(min(index, len(jobs)), Run(f"g{number}", seconds, deadly=True))
    trial = Trial(jobs)

    trial.run(most_deaths=len(guilty) * most_deaths_of_one(max((each[0] for each in guilty), default=1.0)))

    assert {job.id[0] for job in trial.poisoned} <= {"g"}
    assert {job.id[0] for job in trial.completed} <= {"i"}


def most_deaths_of_one(seconds: float) -> int:
    """Losses until a job runs alone, losses until it is alone for long enough, and the losses that count."""
    doublings = max(0, ceil(log2(seconds / FIRST_PATIENCE))) + 1
    # As many again if the worker cannot get empty because other jobs run for as long.
    return LONE_LOSSES + 2 * doublings + ceil(log2(300 / FIRST_PATIENCE)) + MAX_LONE_LOSSES


def test_one_guilty_job_among_five_hundred_costs_seven_workers_and_little_time() -> None:
    jobs = [Run(f"i{n}", 1.0) for n in range(499)]
    jobs.insert(250, Run("g", 1.0, deadly=True))
    trial = Trial(jobs)

    trial.run(most_deaths=LONE_LOSSES + MAX_LONE_LOSSES)

    assert trial.deaths == 7
    assert [job.id for job in trial.poisoned] == ["g"]
    assert len(trial.completed) == 499
    assert trial.time <= 40.0


def test_groups_shrink_and_patience_grows_with_the_losses() -> None:
    assert [group_size(losses) for losses in (2, 3, 4, 5, 1000)] == [64, 8, 1, 1, 1]
    assert [patience(losses) for losses in (4, 5, 6)] == [10.0, 20.0, 40.0]
    assert patience(2**31 - 1) == patience(20)
