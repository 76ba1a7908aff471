"""The comparison: several rounds of everything, then memory, then the verdicts."""

import time
from collections.abc import Callable, Iterator

from bench.load.grpc_load import BATCH_CREATE, has_method
from bench.machine import machine
from bench.memory import memory_after
from bench.report import report
from bench.results import Memory, Results
from bench.rounds import Rounds
from bench.servers import data_directory
from bench.settings import BenchSettings
from bench.store import store
from bench.systems import ours


def compare(settings: BenchSettings, tell: Callable[[str], None]) -> None:
    """Raises StackError, RestLoadFailed, and whatever says that a system gave wrong results."""
    begin = time.monotonic()
    measured_on = machine()
    rounds = Rounds(settings, tell)
    found = []
    for number in range(settings.rounds):
        tell(f"Round {number + 1} of {settings.rounds}")
        found.append(rounds.one())
    results = Results(found, list(_memory(settings, tell)), measured_on)
    tell(f"\n{report(results)}\n")
    for file in store(results, settings.output):
        tell(f"  {file}")
    tell(f"Done after {time.monotonic() - begin:.0f} s.")


def _memory(settings: BenchSettings, tell: Callable[[str], None]) -> Iterator[Memory]:
    if not has_method(BATCH_CREATE):
        tell("Memory: the contract has no BatchCreate, and one by one takes too long")
        return
    tell("Memory")
    looks = settings.memory_jobs, settings.memory_jobs_more
    with (
        data_directory(settings.output) as directory,
        ours(directory, settings.api_servers, settings.workers) as system,
    ):
        for each in memory_after(system, looks, settings.batch_size, settings.batches_in_flight):
            tell(f"  {each.jobs:,} jobs: {each.rss / 1e6:,.0f} MB")
            yield each
