"""The scenarios: faults that are injected under load.

Afterwards all faults are healed and the history is checked.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack

from tests.faults import crash_points
from tests.faults.cluster import API_SERVERS, HOOKS, WORKERS, Cluster
from tests.faults.trial import Scenario, Trial

ALL_API_SERVERS = tuple(("api_server", number) for number in API_SERVERS)
RESTART_AFTER = 0.5
"""Seconds from a kill to the start."""
MARKED_AFTER = 3.0
WAIT_PAUSE = 0.1
RESTARTS_WITHIN = 90.0
"""Seconds until killed API servers run again and one of them handles due jobs, on a busy machine too."""
CLOCK_TOLERANCE = 20.0
"""Seconds. How old the last line of a log may be."""
JOBS_PER_POISON_JOB = 150


async def nothing(_trial: Trial) -> None:
    """Without a fault no job may run twice."""


async def worker_killed_and_restarted(trial: Trial) -> None:
    await trial.sent(0.4)
    await trial.job_runs_on("worker-1")
    await trial.cluster.kill("worker", 1)
    await asyncio.sleep(RESTART_AFTER)
    await trial.cluster.start("worker", 1)


async def worker_killed_for_good(trial: Trial) -> None:
    """The other workers must take over its jobs."""
    await trial.sent(0.4)
    await trial.job_runs_on("worker-2")
    await trial.cluster.kill("worker", 2, others_recover=True)
    await trial.sent(1.0)
    await asyncio.sleep(trial.lease)


async def all_workers_killed(trial: Trial) -> None:
    await trial.sent(0.4)
    await trial.job_runs_on("worker-1")
    await kill_all_workers(trial.cluster)


async def kill_all_workers(cluster: Cluster) -> None:
    """Kill all workers and start them again."""
    await together(*(cluster.kill("worker", number) for number in WORKERS))
    await asyncio.sleep(RESTART_AFTER)
    await together(*(cluster.start("worker", number) for number in WORKERS))


async def api_server_killed_between_two_steps(trial: Trial) -> None:
    """Kill an API server at each crash point in turn."""
    cluster = trial.cluster
    environment = {**HOOKS, "FAULTS_CRASH_FOLDER": str(trial.folder)}
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(cluster.may_die("api_server"))
        await opened.enter_async_context(cluster.changed(dict.fromkeys(ALL_API_SERVERS, environment)))
        for index, point in enumerate(crash_points.ALWAYS_REACHED):
            await trial.sent(0.1 + 0.5 * index / len(crash_points.ALWAYS_REACHED))
            crash_points.order(trial.folder, point)
        await crashed(trial, crash_points.ALWAYS_REACHED)
        # Only jobs that wait for some time are marked as published.
        async with cluster.stopped(amid_faults=True):
            crash_points.order(trial.folder, crash_points.WHEN_MARKED)
            await trial.sent(0.8)
            await crashed(trial, [crash_points.WHEN_MARKED])
        await trial.job_runs_on("worker-1")
        crash_points.order(trial.folder, crash_points.WHEN_LEASES_END)
        await together(*(cluster.kill("worker", number) for number in WORKERS))
        await crashed(trial, [crash_points.WHEN_LEASES_END])


async def crashed(trial: Trial, points: Sequence[str]) -> None:
    """Wait until an API server has died at each of these points."""
    deadline = time.monotonic() + 2 * trial.lease + RESTARTS_WITHIN
    while left := [point for point in points if crash_points.is_ordered(trial.folder, point)]:
        if time.monotonic() > deadline:
            trial.cluster.troubles.append(f"no process reached the crash points {left}")
            return
        await asyncio.sleep(WAIT_PAUSE)


async def worker_and_api_server_killed(trial: Trial) -> None:
    await trial.sent(0.4)
    await trial.job_runs_on("worker-1")
    await together(trial.cluster.kill("worker", 1), trial.cluster.kill("api_server", 1))
    await asyncio.sleep(RESTART_AFTER)
    await together(trial.cluster.start("worker", 1), trial.cluster.start("api_server", 1))


async def kafka_killed(trial: Trial) -> None:
    # Workers end if Kafka needs more than half a minute, as it does on a very busy machine.
    async with trial.cluster.may_die("worker"):
        await killed_and_restarted(trial, "kafka")


async def mongodb_killed(trial: Trial) -> None:
    await killed_and_restarted(trial, "mongodb")


async def gateway_killed(trial: Trial) -> None:
    await killed_and_restarted(trial, "gateway")


async def killed_and_restarted(trial: Trial, name: str) -> None:
    await trial.sent(0.4)
    await trial.cluster.kill(name)
    await asyncio.sleep(2 * RESTART_AFTER)
    await trial.cluster.start(name)


async def worker_frozen(trial: Trial) -> None:
    """Frozen for longer than its lease: other workers run its jobs, and its late reports are refused."""
    await trial.sent(0.4)
    await trial.job_runs_on("worker-1")
    await trial.cluster.freeze("worker", 1, others_recover=True)
    await asyncio.sleep(2 * trial.lease)
    await trial.cluster.thaw("worker", 1)


async def api_servers_frozen(trial: Trial) -> None:
    """One after the other, so that the leader is frozen once. The other API server must do all the work."""
    for share, number in ((0.3, 1), (0.6, 2)):
        await trial.sent(share)
        await trial.cluster.freeze("api_server", number)
        await asyncio.sleep(trial.lease)
        await trial.cluster.thaw("api_server", number)


async def kafka_frozen(trial: Trial) -> None:
    await frozen(trial, "kafka")


async def mongodb_frozen(trial: Trial) -> None:
    await frozen(trial, "mongodb")


async def frozen(trial: Trial, name: str) -> None:
    """Frozen for longer than a lease: an outage of MongoDB or Kafka must not end leases."""
    await trial.sent(0.4)
    await trial.cluster.freeze(name)
    await asyncio.sleep(1.5 * trial.lease)
    await trial.cluster.thaw(name)


async def rolling_restarts(trial: Trial) -> None:
    """One API server and one worker at a time, every few seconds."""
    await trial.sent(0.0)
    numbers = zip(itertools.cycle(API_SERVERS), itertools.cycle(WORKERS), strict=True)
    for turn in itertools.count():
        if turn >= len(WORKERS) and trial.all_are_sent:
            return
        api_server, worker = next(numbers)
        await together(
            trial.cluster.restart("api_server", api_server), trial.cluster.restart("worker", worker)
        )
        await asyncio.sleep(RESTART_AFTER)


async def drain(trial: Trial) -> None:
    """A worker is stopped under load. It must hand back at once the jobs that it cannot finish."""
    await trial.sent(0.5)
    await trial.job_runs_on("worker-3")
    await trial.cluster.stop("worker", 3)
    await trial.sent(1.0)


async def stopped_and_started(trial: Trial) -> None:
    """Stop the fleet, one worker and one job type."""
    await trial.sent(0.3)
    async with trial.cluster.stopped():
        await trial.sent(0.5)
    async with trial.cluster.stopped(worker="worker-2"), trial.cluster.stopped(job_type="steady-thread"):
        await trial.sent(0.8)


async def topic_deleted(trial: Trial) -> None:
    """The topic is deleted with the records of waiting jobs.

    The API server must notice it and publish them again.
    """
    environment = {**HOOKS, "FAULTS_REPUBLISH_AFTER": str(trial.settings.republish_after)}
    async with trial.cluster.changed(dict.fromkeys(ALL_API_SERVERS, environment)):
        await trial.sent(0.3)
        async with trial.cluster.stopped():
            await trial.sent(0.6)
            # After this time the waiting jobs are marked as published.
            await asyncio.sleep(MARKED_AFTER)
            await trial.cluster.delete_topic("steady")
            await trial.sent(0.8)
        await trial.all_ended()


async def poison(trial: Trial) -> None:
    """Some jobs crash their worker in each attempt. Other jobs must not fail because of them."""
    await trial.sent(0.2)
    async with trial.cluster.may_die("worker"):
        await trial.load.many("poison", max(1, trial.count // JOBS_PER_POISON_JOB))
        await trial.load.ended("poison")


async def wrong_clocks(trial: Trial) -> None:
    """The clocks of an API server and a worker are wrong by a minute, in opposite directions.

    Leases must still end in time.
    """
    cluster = trial.cluster
    fast, slow = ({**HOOKS, "FAULTS_CLOCK_SHIFT": shift} for shift in ("60", "-60"))
    async with cluster.changed({("api_server", 1): slow, ("worker", 1): fast}):
        for part, off in (("api_server", -60), ("worker", 60)):
            if abs(cluster.clock_error(part, 1) - off) > CLOCK_TOLERANCE:
                cluster.troubles.append(f"the clock of {part}-1 is {cluster.clock_error(part, 1):.0f} s off")
        await trial.sent(0.4)
        await trial.job_runs_on("worker-2")
        await cluster.kill("worker", 2, others_recover=True)
        await trial.sent(0.7)
        # After this restart the other API server ends the leases.
        await cluster.restart("api_server", 2)
        await trial.job_runs_on("worker-3")
        await cluster.kill("worker", 3, others_recover=True)
        await trial.sent(1.0)
        await asyncio.sleep(trial.lease)


async def compared(trial: Trial) -> None:
    """Jobs of 20 ms. All workers are killed when half of the jobs are done.

    They are started again half a second later. Other systems have been measured with the same work. For the
    comparison the lease must be the default one, as it is in `make test-faults`.
    """
    count = trial.settings.compared
    await together(send_while_stopped(trial, count), kill_when_half_are_done(trial, count))


async def send_while_stopped(trial: Trial, count: int) -> None:
    async with trial.cluster.stopped():
        await trial.load.many("brief", count)


async def kill_when_half_are_done(trial: Trial, count: int) -> None:
    while await trial.store.count_completed() < count / 2:
        await asyncio.sleep(0)
    await kill_all_workers(trial.cluster)


async def together(*calls: Awaitable[None]) -> None:
    await asyncio.gather(*calls)


SCENARIOS: Sequence[Sequence[Scenario]] = (
    (nothing,),
    (worker_killed_and_restarted, all_workers_killed, worker_and_api_server_killed, worker_killed_for_good),
    (kafka_killed, mongodb_killed, gateway_killed),
    (worker_frozen, api_servers_frozen),
    (kafka_frozen, mongodb_frozen),
    (rolling_restarts, drain, stopped_and_started),
    (api_server_killed_between_two_steps,),
    (topic_deleted,),
    (poison,),
    (wrong_clocks,),
)
"""Those of one line can share a trial."""
