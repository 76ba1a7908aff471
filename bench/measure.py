"""Measures one row once."""

import time
from collections.abc import Callable

from bench.load.submitted import Submitted
from bench.results import Sample
from bench.systems import JobSystem
from bench.usage import Usage, since
from bench.work import BLOCK, check

SETTLE = 1.0
"""Seconds after the last result in which CPU time still counts, because some work is done later."""


def measure_row(system: JobSystem, first: int, submit: Callable[[int], Submitted], seconds: float) -> Sample:
    """Measure jobs from number `first` on, which may take `seconds`, and check their results.

    Raises StackError, WrongResults.
    """
    sample = measure(system.servers.usage(), lambda: submit(first), lambda: system.wait_drained(seconds))
    check(system.read_back(system.ids_of(first, BLOCK)), first, sample.jobs)
    return sample


def measure(usage: Usage, submit: Callable[[], Submitted], wait_done: Callable[[], object]) -> Sample:
    """Measure from the first call until `wait_done` returns."""
    usage.forget_peaks()
    before = usage.cpu_seconds()
    begin = time.perf_counter()
    submitted = submit()
    wait_done()
    total = time.perf_counter() - begin
    time.sleep(SETTLE)
    return Sample(
        jobs=submitted.jobs,
        submit_seconds=submitted.seconds,
        total_seconds=total,
        cpu_seconds=since(before, usage.cpu_seconds()),
        load_cpu_seconds=submitted.cpu_seconds,
        peak_bytes=usage.peak_bytes(),
    )
