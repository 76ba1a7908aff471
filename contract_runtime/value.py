"""Values: small objects that never change."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

C = TypeVar("C")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[C]) -> type[C]:
    """A dataclass that is frozen for the type checker, which finds whoever would change it.

    For those of which each job makes some: to keep others from changing them while the program runs, too, as
    `dataclass(frozen=True)` does, makes them take two to three times as long to make.
    """
    make: Callable[[type[C]], type[C]] = dataclass(slots=True, unsafe_hash=True)
    return make(cls)
