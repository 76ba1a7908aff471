"""Where the Python processes spend their CPU time, under the load of each of our rows.

Linux gives the CPU time of each thread. py-spy samples the stack of the thread that holds the interpreter's
lock. The samples of the main thread, and those of all other threads, are scaled to the CPU time that Linux
gives for them. So a system call, which py-spy does not see, counts for the code around it.
"""

import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from bench.load.grpc_load import create_in_batches, create_one_by_one
from bench.load.rest_load import create_over_rest
from bench.load.submitted import Submitted
from bench.report import number, table
from bench.servers import data_directory
from bench.settings import BenchSettings
from bench.stacks import MAIN, read_stacks, tables
from bench.systems import JobSystem, ours
from bench.targets import OURS_BATCH, OURS_GRPC, OURS_REST
from bench.work import Numbers

SAMPLES_PER_SECOND = 250
DRAIN_SECONDS = 900.0
ATTACH_SECONDS = 2.0
PYTHON_ROLES = "api_server", "worker"
Submit = Callable[[int, int], Submitted]
"""Arguments: the number of the first job, and how many jobs to submit."""


def profile(settings: BenchSettings, show: Callable[[str], None]) -> None:
    """Print tables for each of our rows."""
    numbers = Numbers()
    with (
        data_directory(settings.output) as directory,
        # With a single API server, its profile has all jobs.
        ours(directory, 1, 1) as system,
    ):
        addresses, in_flight = system.grpc_addresses, settings.in_flight
        create_one_by_one(addresses, numbers.take(), settings.warm_up_jobs, in_flight)
        system.wait_drained(DRAIN_SECONDS)
        rows: dict[str, tuple[int, Submit]] = {
            OURS_GRPC: (
                settings.grpc_jobs,
                lambda first, jobs: create_one_by_one(addresses, first, jobs, in_flight),
            ),
            OURS_BATCH: (
                settings.batch_jobs,
                lambda first, jobs: create_in_batches(
                    addresses, first, jobs, settings.batch_size, settings.batches_in_flight
                ),
            ),
            OURS_REST: (
                settings.rest_jobs,
                lambda first, jobs: create_over_rest(system.rest_address, first, jobs, in_flight),
            ),
        }
        for row, (jobs, submit) in rows.items():

            def submit_and_wait(submit: Submit = submit, jobs: int = jobs) -> None:
                submit(numbers.take(), jobs)
                system.wait_drained(DRAIN_SECONDS)

            show(f"\n# {row}")
            _profile_row(system, directory, submit_and_wait, jobs, show)


def _profile_row(
    system: JobSystem,
    directory: Path,
    submit_and_wait: Callable[[], None],
    jobs: int,
    show: Callable[[str], None],
) -> None:
    pids = {role: system.servers.pid(role) for role in PYTHON_ROLES}
    # Measured without py-spy, because it stops the process for each sample.
    before = {role: thread_seconds(pid) for role, pid in pids.items()}
    submit_and_wait()
    after = {role: thread_seconds(pid) for role, pid in pids.items()}
    with ExitStack() as spies:
        files = {
            role: spies.enter_context(watched(pid, directory / f"{role}.stacks"))
            for role, pid in pids.items()
        }
        submit_and_wait()
    for role, file in files.items():
        stacks = read_stacks(file.read_text().splitlines())
        spent = threads_used(pids[role], before[role], after[role])
        micros = {name: seconds / jobs * 1e6 for name, seconds in spent.items()}
        total = sum(micros.values())
        show(f"\n{role}: {total:,.0f} µs of CPU per job\n")
        lines = [[name, number(each)] for name, each in sorted(micros.items(), key=lambda item: -item[1])]
        show(table(["thread", "µs per job"], lines))
        main = micros[MAIN]
        for name, found, share in zip((MAIN, "all others"), stacks, (main, total - main), strict=True):
            show(f"\n{role}, {name}\n")
            show(tables(found, share))


def thread_seconds(pid: int) -> dict[int, float]:
    """The CPU seconds of each thread since its start, by thread id."""
    return {each.id: each.user_time + each.system_time for each in psutil.Process(pid).threads()}


def threads_used(pid: int, before: Mapping[int, float], after: Mapping[int, float]) -> dict[str, float]:
    """CPU seconds between two calls of thread_seconds, by Linux's name for the thread without its number."""
    used: defaultdict[str, float] = defaultdict(float)
    for thread, seconds in after.items():
        name = MAIN if thread == pid else Path(f"/proc/{pid}/task/{thread}/comm").read_text().strip()
        used[name.rstrip("0123456789_-")] += seconds - before.get(thread, 0.0)
    return used


@contextmanager
def watched(pid: int, file: Path) -> Iterator[Path]:
    """Sample the process in the block. `file` has the stacks after the block."""
    command = ["py-spy", "record", "--pid", str(pid), "--format", "raw", "--output", str(file)]
    options = [
        "--rate",
        str(SAMPLES_PER_SECOND),
        "--duration",
        "unlimited",
        "--function",
        "--gil",
        "--threads",
    ]
    with subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as spy:
        time.sleep(ATTACH_SECONDS)
        try:
            yield file
        finally:
            spy.send_signal(signal.SIGINT)
            spy.wait()
