"""Value objects: small objects that never change."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

C = TypeVar("C")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[C]) -> type[C]:
    """A dataclass that is frozen for the type checker only, which finds code that changes one.

    For objects that every job creates: `dataclass(frozen=True)` also checks at run time, and then creating
    one takes two to three times as long.
    """
    make: Callable[[type[C]], type[C]] = dataclass(slots=True, unsafe_hash=True)
    return make(cls)
