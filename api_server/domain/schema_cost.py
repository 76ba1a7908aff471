"""How often a check looks at the same value. Pure.

A schema can apply several schemas to one value, and each of these can do so again for the values inside. A
small schema can so take hours for a small payload. The number is known beforehand, because payloads have a
limited depth.
"""

from collections.abc import Mapping
from typing import Any

from api_server.domain.schema_parts import FORBIDDEN, Schema, UnusableSchema, children, in_place, resolved
from contract_runtime.structs import MAX_DEPTH

MAX_VISITS = 64
"""How often a check may look at one value."""


class SchemaCost:
    """Of one schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._parts: dict[int, list[Mapping[str, Any]]] = {}
        self._visits: dict[tuple[int, int], int] = {}

    def visits(self) -> int:
        """How often a check looks at one value at most.

        Raises UnusableSchema if that is more than MAX_VISITS, if a reference leads elsewhere or round in a
        circle, and for a FORBIDDEN keyword.
        """
        return self._of(self._root, MAX_DEPTH)

    def _of(self, schema: Schema, depth: int) -> int:
        """`depth`: how many levels a value can still have."""
        key = id(schema), depth
        if key not in self._visits:
            parts = self._all_in_place(schema, ())
            inside = sum(self._inside(part, depth - 1) for part in parts) if depth else 0
            self._visits[key] = _checked(max(len(parts), inside))
        return self._visits[key]

    def _inside(self, part: Mapping[str, Any], depth: int) -> int:
        one, every = children(part)
        most = max((self._of(each, depth) for each in one), default=0)
        return most + sum(self._of(each, depth) for each in every)

    def _all_in_place(self, schema: Schema, path: tuple[int, ...]) -> list[Mapping[str, Any]]:
        """All parts that a check applies to one value. `path`: the parts around this one."""
        if isinstance(schema, bool):
            return []
        if id(schema) in path:
            raise UnusableSchema("a $ref leads back to itself")
        _checked(len(path))
        if id(schema) not in self._parts:
            if found := FORBIDDEN & schema.keys():
                raise UnusableSchema(f"the keyword {min(found)} is not supported")
            parts = [schema]
            inner = [*in_place(schema)]
            if "$ref" in schema:
                inner.append(resolved(self._root, schema["$ref"]))
            for each in inner:
                parts += self._all_in_place(each, (*path, id(schema)))
                _checked(len(parts))
            self._parts[id(schema)] = parts
        return self._parts[id(schema)]


def _checked(visits: int) -> int:
    if visits > MAX_VISITS:
        raise UnusableSchema(f"a check would look at one value more than {MAX_VISITS} times")
    return visits
