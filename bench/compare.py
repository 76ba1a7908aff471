"""The comparison: several rounds of all systems, then memory, then the targets."""

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


def compare(settings: BenchSettings, show: Callable[[str], None]) -> None:
    """Raises StackError, BenchFailed."""
    begin = time.monotonic()
    measured_on = machine()
    rounds = Rounds(settings, show)
    found = []
    for number in range(settings.rounds):
        show(f"Round {number + 1} of {settings.rounds}")
        found.append(rounds.one())
    results = Results(found, list(_memory(settings, show)), measured_on)
    show(f"\n{report(results)}\n")
    for file in store(results, settings.output):
        show(f"  {file}")
    show(f"Done after {time.monotonic() - begin:.0f} s.")


def _memory(settings: BenchSettings, show: Callable[[str], None]) -> Iterator[Memory]:
    if not has_method(BATCH_CREATE):
        show("Memory: not measured, because the contract has no BatchCreate and Create takes too long")
        return
    show("Memory")
    levels = settings.memory_jobs, settings.memory_jobs_more
    with (
        data_directory(settings.output) as directory,
        ours(directory, settings.api_servers, settings.workers) as system,
    ):
        for each in memory_after(system, levels, settings.batch_size, settings.batches_in_flight):
            show(f"  {each.jobs:,} jobs: {each.rss / 1e6:,.0f} MB")
            yield each
