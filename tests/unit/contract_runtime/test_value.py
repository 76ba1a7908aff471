"""Value objects are compared and hashed by their fields, and are replaced instead of changed."""

from dataclasses import field, replace

import pytest

from contract_runtime.value import value


@value
class Point:
    x: int
    tags: tuple[str, ...] = field(default=())
    note: str = field(default="", hash=False)


def test_equal_values_are_one_element_of_a_set() -> None:
    assert {Point(1), Point(x=1)} == {Point(1)}
    assert Point(1) != Point(2)


def test_replace_makes_another_value() -> None:
    assert replace(Point(1, ("a",)), x=2) == Point(2, ("a",))


def test_a_field_that_does_not_exist_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        object.__setattr__(Point(1), "y", 2)
