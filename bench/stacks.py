"""Counts py-spy's samples by part, by function with its callees, and by function alone. Pure.

A sample belongs to the part of its innermost frame that PARTS knows.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from bench.report import number, table

MAIN = "MainThread"
MAX_FUNCTIONS = 25
EVERYWHERE = 0.95
"""A function in more than this share of the samples is left out, because it calls everything."""
PARTS = {
    "contract_runtime/structs": "Struct conversion",
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
    "contract_runtime/": "runtime",
    "service_runtime/": "runtime",
    "api_server/": "our code",
    "worker_service/": "our code",
    # Time that a callback spends outside Python code. It is nearly always gRPC's core.
    "asyncio/events.py": "gRPC, below Python",
    "asyncio/": "event loop",
    "selectors.py": "event loop",
}
"""Text in the path of a frame's file, and the part of that file. The first match counts."""


@dataclass(frozen=True, slots=True)
class Stacks:
    """How many samples of a process have each stack.

    A stack has its frames from the outermost to the innermost.
    """

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
        """How many samples have the function on the stack."""
        found: Counter[str] = Counter()
        for stack, count in self.counts.items():
            for frame in set(stack):
                found[frame] += count
        return found

    def by_self(self) -> Counter[str]:
        """How many samples have the function as the innermost frame."""
        found: Counter[str] = Counter()
        for stack, count in self.counts.items():
            # A thread outside Python code has no frame.
            if stack:
                found[stack[-1]] += count
        return found


def read_stacks(lines: Iterable[str]) -> tuple[Stacks, Stacks]:
    """The stacks of the main thread and of all other threads.

    `lines` are in py-spy's raw format: `thread;frame;frame count`.
    """
    main: Counter[tuple[str, ...]] = Counter()
    others: Counter[tuple[str, ...]] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        (main if MAIN in thread else others)[tuple(frames)] += int(count)
    return Stacks(main), Stacks(others)


def tables(stacks: Stacks, micros: float) -> str:
    """Three tables of the samples, scaled so that all samples together are `micros` µs per job."""
    views = {
        "part": stacks.by_part().most_common(),
        "function, with its callees": [
            (frame, count)
            for frame, count in stacks.by_function().most_common(MAX_FUNCTIONS * 3)
            if count < EVERYWHERE * stacks.total
        ],
        "function alone": stacks.by_self().most_common(MAX_FUNCTIONS),
    }
    scale = micros / max(stacks.total, 1)
    return "\n\n".join(
        table([name, "µs per job"], [[what, number(count * scale)] for what, count in rows])
        for name, rows in views.items()
    )


def _part_of(stack: tuple[str, ...]) -> str:
    for frame in reversed(stack):
        for needle, part in PARTS.items():
            if needle in frame:
                return part
    return "other"
