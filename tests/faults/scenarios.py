"""What is done to the system under load, one function each. After each, everything is healed and the checker asked."""

import asyncio
from collections.abc import Sequence

from tests.faults import crash_points
from tests.faults.cluster import API_SERVERS, HOOKS, WORKERS
from tests.faults.trial import Scenario, Trial

RESTART_AFTER = 0.5
"""Seconds until what was killed is started again."""


async def nothing(_trial: Trial) -> None:
    """The measure for the others: nothing may happen twice."""


async def worker_killed_and_restarted(trial: Trial) -> None:
    await trial.sent(0.4)
    await trial.cluster.kill("worker", 1)
    await asyncio.sleep(RESTART_AFTER)
    await trial.cluster.start("worker", 1)


async def worker_killed_for_good(trial: Trial) -> None:
    """The others must take its jobs over."""
    await trial.sent(0.4)
    await trial.cluster.kill("worker", 2)
    await trial.sent(1.0)
    await asyncio.sleep(trial.lease)


async def all_workers_killed(trial: Trial) -> None:
    await trial.sent(0.4)
    await together(*(trial.cluster.kill("worker", number) for number in WORKERS))
    await asyncio.sleep(RESTART_AFTER)
    await together(*(trial.cluster.start("worker", number) for number in WORKERS))


async def api_server_killed_between_two_steps(trial: Trial) -> None:
    """At each crash point in turn; for one of them a worker's lease has to end."""
    folder = trial.folder / "orders"
    folder.mkdir()
    cluster = trial.cluster
    environment = {**HOOKS, "FAULTS_CRASH_FOLDER": str(folder)}
    async with cluster.may_die("api_server"):
        for number in API_SERVERS:
            await cluster.stop("api_server", number)
            await cluster.start("api_server", number, environment)
        for place, point in enumerate(crash_points.POINTS):
            await trial.sent(0.2 + 0.7 * place / len(crash_points.POINTS))
            crash_points.order(folder, point)
        await trial.sent(0.9)
        await cluster.kill("worker", 1)
        await trial.sent(1.0)
        await asyncio.sleep(trial.lease)
        for number in API_SERVERS:
            await cluster.stop("api_server", number)
            await cluster.start("api_server", number)


async def worker_and_api_server_killed(trial: Trial) -> None:
    await trial.sent(0.4)
    await together(trial.cluster.kill("worker", 1), trial.cluster.kill("api_server", 1))
    await asyncio.sleep(RESTART_AFTER)
    await together(trial.cluster.start("worker", 1), trial.cluster.start("api_server", 1))


async def kafka_killed(trial: Trial) -> None:
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
    """For longer than its lease: the others run its jobs, and what it says when it wakes up is refused."""
    await trial.sent(0.4)
    await trial.cluster.freeze("worker", 1, others_recover=True)
    await asyncio.sleep(2 * trial.lease)
    await trial.cluster.thaw("worker", 1)


async def api_servers_frozen(trial: Trial) -> None:
    """One after the other, so that it is the leader once. The other one must do everything."""
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
    """For longer than a lease: an outage ends none."""
    await trial.sent(0.4)
    await trial.cluster.freeze(name)
    await asyncio.sleep(1.5 * trial.lease)
    await trial.cluster.thaw(name)


async def rolling_restarts(trial: Trial) -> None:
    """One API server and one worker at a time, every few seconds."""
    cluster = trial.cluster
    while trial.load.count_sent < trial.count:
        for number in WORKERS:
            await together(
                restarted(trial, "worker", number),
                restarted(trial, "api_server", API_SERVERS[number % len(API_SERVERS)]),
            )
            await asyncio.sleep(RESTART_AFTER)
    del cluster


async def restarted(trial: Trial, name: str, number: int) -> None:
    await trial.cluster.stop(name, number)
    await trial.cluster.start(name, number)


async def drain(trial: Trial) -> None:
    """A worker is told to end in the midst of the load: what it cannot finish goes back at once."""
    await trial.sent(0.5)
    await trial.cluster.stop("worker", 3)
    await trial.sent(1.0)


async def together(*calls: "asyncio._CoroutineLike[None]") -> None:
    await asyncio.gather(*calls)


SCENARIOS: Sequence[Scenario] = (
    nothing,
    worker_killed_and_restarted,
    worker_killed_for_good,
    all_workers_killed,
    api_server_killed_between_two_steps,
    worker_and_api_server_killed,
    kafka_killed,
    mongodb_killed,
    gateway_killed,
    worker_frozen,
    api_servers_frozen,
    kafka_frozen,
    mongodb_frozen,
    rolling_restarts,
    drain,
)
