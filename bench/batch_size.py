"""How large the batches are in which jobs reach MongoDB, told by MongoDB's own profiler."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.stats import weighted_median

OFF, ALL = 0, 2
WRITES = {"ns": "jobs.jobs", "op": {"$in": ["insert", "update"]}}
PROFILE_BYTES = 64 * 1024 * 1024


class BatchSizes:
    """Filled when `profiled` ends."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    @property
    def median(self) -> int:
        """The batch of the median job. Raises ValueError if nothing was written."""
        return weighted_median(self.sizes)


@contextmanager
def profiled(database: Any) -> Iterator[BatchSizes]:
    """The statements of the block. Profiling takes time: measure nothing else meanwhile."""
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
