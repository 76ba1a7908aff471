"""What waits to be sent, as batches. Pure."""

from collections import deque
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Sized)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Of one call, in items and bytes; an item larger than that goes alone."""

    items: int = 1000
    size: int = 2 * 1024 * 1024


class Waiting(Generic[T]):
    """First come, first sent. `each_once`: an id stands in a batch once."""

    def __init__(self, limits: BatchLimits, *, each_once: bool) -> None:
        self._limits = limits
        self._each_once = each_once
        self._items: deque[T] = deque()

    def add(self, item: T) -> None:
        self._items.append(item)

    def take(self) -> list[T]:
        """The next batch: as many as may go together, in order. Empty if nothing waits."""
        limits, waiting = self._limits, self._items
        batch: list[T] = []
        ids: set[str] = set()
        size = 0
        while waiting and len(batch) < limits.items:
            item = waiting[0]
            size += item.size
            if batch and (size > limits.size or (self._each_once and item.id in ids)):
                break
            ids.add(item.id)
            batch.append(waiting.popleft())
        return batch
