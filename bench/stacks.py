"""What py-spy has seen, counted by part, by function with what it calls, and by function alone. Pure.

A sample belongs to the innermost frame that a part of PARTS names.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from bench.report import number, table

MAIN = "MainThread"
MOST_FUNCTIONS = 25
EVERYWHERE = 0.95
"""The share of samples from which on a function says nothing, for all is called from it."""
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
