"""Parses the body of a REST request: JSON as RFC 8259 has it, with each key once."""

import json
import re
from typing import Any

MAX_SHOWN_KEY = 60
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Misfit(ValueError):
    """The value at `path` does not fit: `problem`. `path` is like `requests[3].payload`, "" for the body."""

    def __init__(self, problem: str, rule: str, path: str = "") -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.problem = problem
        self.rule = rule
        self.path = path

    def inside(self, step: str | int) -> "Misfit":
        """The same problem, seen from the object (`step`: a key) or the list (an index) around it."""
        first = f"[{step}]" if isinstance(step, int) else path_of(step)
        separator = "." if self.path and not self.path.startswith("[") else ""
        return Misfit(self.problem, self.rule, f"{first}{separator}{self.path}")


class Twice(dict[str, Any]):
    """An object that has a key twice. Who reads it knows its path, and raises `misfit()`."""

    key: str = ""

    def misfit(self) -> Misfit:
        return Misfit("must occur only once", "field.once", path_of(self.key))


def parse(body: bytes) -> dict[str, Any]:
    """The object in the body; empty if the body is. Objects with a key twice are of the class Twice.

    Raises Misfit without a path.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _no_json(f"byte {error.start + 1} is not UTF-8") from None
    if body.startswith(_BYTE_ORDER_MARK):
        raise _no_json("it begins with a byte order mark")
    if not text:
        return {}
    try:
        parsed = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise _no_json(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise _no_json("it is nested too deep") from None
    except Misfit:
        raise
    except ValueError:
        # int() takes no more than 4300 digits.
        raise _no_json("a number in it has too many digits") from None
    if not isinstance(parsed, dict):
        raise Misfit("the body must be a JSON object", "body.json")
    return parsed


def shown(key: str) -> str:
    """A key in the form in which an error can show it."""
    cut = key if len(key) <= MAX_SHOWN_KEY else f"{key[:MAX_SHOWN_KEY]}…"
    return _UNPRINTABLE.sub("?", cut)


def path_of(key: str) -> str:
    """The path of a key in its object. An empty key has quotes, because an empty path is the body."""
    return shown(key) or '""'


_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice = Twice(pairs)
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            twice.key = key
            break
        seen.add(key)
    return twice


def _constant(name: str) -> Any:
    raise _no_json(f"{name} is not a JSON value")


def _no_json(problem: str) -> Misfit:
    return Misfit(f"the body is not JSON in UTF-8: {problem}", "body.json")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
