"""Reads the sizes of the batches that reach MongoDB from MongoDB's own profiler."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.stats import weighted_median

OFF, ALL = 0, 2
WRITES = {"ns": "jobs.jobs", "op": {"$in": ["insert", "update"]}}
PROFILE_BYTES = 64 * 1024 * 1024


class BatchSizes:
    """The sizes of all batches. Empty until the block of `profiled` ends."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    @property
    def median(self) -> int:
        """The size of the median job's batch. Raises ValueError if nothing was written."""
        return weighted_median(self.sizes)


@contextmanager
def profiled(database: Any) -> Iterator[BatchSizes]:
    """Profile the statements of the block.

    Profiling costs time, so nothing else may be measured in the block.
    """
    found = BatchSizes()
    database.drop_collection("system.profile")
    database.create_collection("system.profile", capped=True, size=PROFILE_BYTES)
    database.command("profile", ALL)
    try:
        yield found
    finally:
        database.command("profile", OFF)
        fields = {"ninserted": 1, "nModified": 1}
        statements = database["system.profile"].find(WRITES, fields)
        sizes = (each.get("ninserted") or each.get("nModified") or 0 for each in statements)
        found.sizes = [size for size in sizes if size]
