"""Where the CPU time of the Python processes goes, by py-spy, under the load of one row.

Linux tells the CPU time of each thread. py-spy samples the stack of the thread that has the interpreter; each sample
belongs to the innermost frame that a part of PARTS names. The samples of the main thread and those of all other threads
are scaled to the CPU time that these threads really took, so a system call counts for what calls it nearby.
"""

import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.load.grpc_load import create_one_by_one
from bench.report import number, table
from bench.servers import data_directory
from bench.settings import BenchSettings
from bench.systems import ours
from bench.work import Numbers

SAMPLES_PER_SECOND = 250
DRAIN_SECONDS = 900.0
ATTACH_SECONDS = 2.0
MAIN = "MainThread"
PYTHON_ROLES = "api_server", "worker"
MOST_FUNCTIONS = 25
EVERYWHERE = 0.95
"""The share of samples from which on a function says nothing, for all is called from it."""
PARTS = {
    "service_runtime/structs": "Struct conversion",
    "service_runtime/validation": "validation",
    "protovalidate/": "validation",
    "structlog/": "logging",
    "logging/": "logging",
    "google/protobuf/": "protobuf",
    "bson/": "BSON",
    "pymongo/": "PyMongo",
    "motor/": "motor",
    "concurrent/futures/": "motor",
    "aiokafka/": "aiokafka",
    "grpc/": "gRPC, in Python",
    "service_runtime/": "interceptor and runtime",
    "api_server/": "our code",
    "worker_service/": "our code",
    # What a callback does outside Python's own code, which is gRPC's core nearly always.
    "asyncio/events.py": "gRPC, below Python",
    "asyncio/": "event loop",
    "selectors.py": "event loop",
}
"""What stands in a frame's file, and the part it belongs to; the first that fits."""


@dataclass(frozen=True, slots=True)
class Stacks:
    """Samples of one process: stacks of frames, outermost first, with how often each was seen."""

    counts: Counter[tuple[str, ...]]

    @property
    def total(self) -> int:
        return self.counts.total()

    def by_part(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for stack, count in self.counts.items():
            found[_part_of(stack)] += count
        return found

    def by_function(self) -> Counter[str]:
        """Samples in which the function was on the stack."""
        found: Counter[str] = Counter()
        for stack, count in self.counts.items():
            for frame in set(stack):
                found[frame] += count
        return found

    def by_self(self) -> Counter[str]:
        """Samples in which the function itself ran."""
        found: Counter[str] = Counter()
        for stack, count in self.counts.items():
            found[stack[-1]] += count
        return found


def read_stacks(lines: Iterable[str]) -> tuple[Stacks, Stacks]:
    """Of the main thread and of all others, from py-spy's raw format: `thread;frame;frame count`."""
    main: Counter[tuple[str, ...]] = Counter()
    others: Counter[tuple[str, ...]] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        (main if MAIN in thread else others)[tuple(frames)] += int(count)
    return Stacks(main), Stacks(others)


def profile(settings: BenchSettings, tell: Callable[[str], None]) -> None:
    """Print tables for the gRPC row."""
    numbers = Numbers()
    with (
        data_directory(settings.output) as directory,
        ours(directory, settings.api_servers, settings.workers) as system,
    ):
        address, in_flight = system.grpc_address, settings.in_flight

        def submit_and_wait(jobs: int) -> None:
            create_one_by_one(address, numbers.take(), jobs, in_flight)
            system.wait_drained(DRAIN_SECONDS)

        submit_and_wait(settings.warm_up_jobs)
        pids = {role: system.servers.pid(role) for role in PYTHON_ROLES}
        # Unwatched: py-spy stops the process for each sample.
        before = {role: thread_seconds(pid) for role, pid in pids.items()}
        submit_and_wait(settings.grpc_jobs)
        after = {role: thread_seconds(pid) for role, pid in pids.items()}
        with ExitStack() as spies:
            files = {
                role: spies.enter_context(watched(pid, directory / f"{role}.stacks"))
                for role, pid in pids.items()
            }
            submit_and_wait(settings.grpc_jobs)
        for role, file in files.items():
            stacks = read_stacks(file.read_text().splitlines())
            spent = threads_used(pids[role], before[role], after[role])
            micros = {name: seconds / settings.grpc_jobs * 1e6 for name, seconds in spent.items()}
            in_all = sum(micros.values())
            tell(f"\n{role}: {in_all:,.0f} µs of CPU a job\n")
            rows = [[name, number(each)] for name, each in sorted(micros.items(), key=lambda item: -item[1])]
            tell(table(["thread", "µs a job"], rows))
            main = micros[MAIN]
            for name, found, share in zip((MAIN, "all others"), stacks, (main, in_all - main), strict=True):
                tell(f"\n{role}, {name}\n")
                tell(tables(found, share))


def thread_seconds(pid: int) -> dict[int, float]:
    """CPU time of each thread so far."""
    return {each.id: each.user_time + each.system_time for each in psutil.Process(pid).threads()}


def threads_used(pid: int, before: Mapping[int, float], after: Mapping[int, float]) -> dict[str, float]:
    """CPU seconds between two looks, by the name that Linux has for a thread, without its number."""
    used: defaultdict[str, float] = defaultdict(float)
    for thread, seconds in after.items():
        name = MAIN if thread == pid else Path(f"/proc/{pid}/task/{thread}/comm").read_text().strip()
        used[name.rstrip("0123456789_-")] += seconds - before.get(thread, 0.0)
    return used


@contextmanager
def watched(pid: int, file: Path) -> Iterator[Path]:
    """`file` holds the stacks when the block is left."""
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


def tables(stacks: Stacks, micros: float) -> str:
    """The same samples by part, by function with what it calls, and by function alone, in µs of `micros`."""
    views = {
        "part": stacks.by_part().most_common(),
        "function, with what it calls": [
            (frame, count)
            for frame, count in stacks.by_function().most_common(MOST_FUNCTIONS * 3)
            if count < EVERYWHERE * stacks.total
        ],
        "function alone": stacks.by_self().most_common(MOST_FUNCTIONS),
    }
    scale = micros / max(stacks.total, 1)
    return "\n\n".join(
        table([name, "µs a job"], [[what, number(count * scale)] for what, count in rows])
        for name, rows in views.items()
    )


def _part_of(stack: tuple[str, ...]) -> str:
    for frame in reversed(stack):
        for needle, part in PARTS.items():
            if needle in frame:
                return part
    return "other"
