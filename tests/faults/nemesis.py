"""Injects random faults. The same seed gives the same faults in the same order."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from tests.faults import crash_points
from tests.faults.cluster import HOOKS, PARTS, WORKERS
from tests.faults.kinds import WORKER_TYPES
from tests.faults.scenarios import ALL_API_SERVERS, kill_all_workers, together
from tests.faults.trial import Trial

LONGEST_PAUSE = 3.0
TWO_AT_ONCE = 0.3
LONGEST_FREEZE = {"worker": 2.0, "api_server": 1.5, "kafka": 1.5, "mongodb": 1.5, "gateway": 1.0}
"""In leases of a job."""


@dataclass(frozen=True)
class Act:
    """A fault of these parts, and its end. Two acts at the same time must not have a part in common."""

    text: str
    parts: frozenset[tuple[str, int]]
    do: Callable[[], Awaitable[None]]


async def nemesis(trial: Trial) -> None:
    """Inject faults until the load has been sent. One clock is wrong all the time."""
    chance = random.Random(trial.settings.seed)  # noqa: S311 - keeps no secret
    cluster = trial.cluster
    trial.show(f"nemesis: {trial.settings.minutes:g} minutes, seed {trial.settings.seed}")
    shift = {"FAULTS_CLOCK_SHIFT": str(chance.choice([-60, 60]))}
    environment = {
        **HOOKS,
        "FAULTS_CRASH_FOLDER": str(trial.folder),
        "FAULTS_REPUBLISH_AFTER": str(trial.settings.republish_after),
    }
    wrong = chance.choice([part for part in PARTS if part[0] in ("api_server", "worker")])
    trial.show(f"nemesis: clock of {_key(wrong)} off by {shift['FAULTS_CLOCK_SHIFT']} s")
    async with AsyncExitStack() as opened:
        for name in ("api_server", "worker"):
            await opened.enter_async_context(cluster.may_die(name))
        environments = dict.fromkeys(ALL_API_SERVERS, environment)
        environments[wrong] = {**environments.get(wrong, HOOKS), **shift}
        await opened.enter_async_context(cluster.changed(environments))
        await trial.sent(0.0)
        begin = time.monotonic()
        while not trial.all_are_sent:
            acts = [_pick(trial, chance)]
            if chance.random() < TWO_AT_ONCE and (second := _pick(trial, chance)).parts.isdisjoint(
                acts[0].parts
            ):
                acts.append(second)
            trial.show(
                f"nemesis: {time.monotonic() - begin:6.1f} s  {', and '.join(act.text for act in acts)}"
            )
            await together(*(act.do() for act in acts))
            await asyncio.sleep(chance.uniform(0, LONGEST_PAUSE))
        await trial.load.ended("poison")


def _pick(trial: Trial, chance: random.Random) -> Act:
    return chance.choice(list(ACTS.values()))(trial, chance)


def _kill(trial: Trial, chance: random.Random) -> Act:
    part, pause = chance.choice(PARTS), chance.uniform(0, LONGEST_PAUSE)

    async def do() -> None:
        await trial.cluster.kill(*part)
        await asyncio.sleep(pause)
        await trial.cluster.start(*part)

    return Act(f"kill {_key(part)} for {pause:.1f} s", frozenset({part}), do)


def _freeze(trial: Trial, chance: random.Random) -> Act:
    part = chance.choice(PARTS)
    seconds = chance.uniform(0, LONGEST_FREEZE[part[0]] * trial.lease)

    async def do() -> None:
        await trial.cluster.freeze(*part)
        await asyncio.sleep(seconds)
        await trial.cluster.thaw(*part)

    return Act(f"freeze {_key(part)} for {seconds:.1f} s", frozenset({part}), do)


def _restart(trial: Trial, chance: random.Random) -> Act:
    part = chance.choice(PARTS)
    return Act(f"restart {_key(part)}", frozenset({part}), lambda: trial.cluster.restart(*part))


def _kill_all_workers(trial: Trial, _chance: random.Random) -> Act:
    parts = frozenset(("worker", number) for number in WORKERS)
    return Act("kill all workers", parts, lambda: kill_all_workers(trial.cluster))


def _stop_fleet(trial: Trial, chance: random.Random) -> Act:
    worker = chance.choice(["", *(f"worker-{number}" for number in WORKERS)])
    job_type = "" if worker or chance.random() < 0.5 else chance.choice(WORKER_TYPES)
    seconds = chance.uniform(0, LONGEST_PAUSE)

    async def do() -> None:
        async with trial.cluster.stopped(worker=worker, job_type=job_type, amid_faults=True):
            await asyncio.sleep(seconds)

    return Act(f"stop {worker or job_type or 'the fleet'} for {seconds:.1f} s", frozenset(), do)


def _delete_topic(trial: Trial, chance: random.Random) -> Act:
    job_type = chance.choice(WORKER_TYPES)
    return Act(
        f"delete topic jobs.{job_type}",
        frozenset({("kafka", 1)}),
        lambda: trial.cluster.delete_topic(job_type),
    )


def _poison(trial: Trial, _chance: random.Random) -> Act:
    async def do() -> None:
        await trial.load.one("poison")

    return Act("poison", frozenset(), do)


def _crash(trial: Trial, chance: random.Random) -> Act:
    point = chance.choice(list(crash_points.POINTS))

    async def do() -> None:
        crash_points.order(trial.folder, point)

    return Act(f"kill an API server at '{point}'", frozenset(ALL_API_SERVERS), do)


ACTS: Mapping[str, Callable[[Trial, random.Random], Act]] = {
    act.__name__: act
    for act in (_kill, _freeze, _restart, _kill_all_workers, _stop_fleet, _delete_topic, _poison, _crash)
}


def _key(part: tuple[str, int]) -> str:
    return f"{part[0]}-{part[1]}"
