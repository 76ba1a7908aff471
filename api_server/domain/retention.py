"""How long jobs are kept after their end."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from api_server.domain.by_type import NEVER, read_by_type

UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_SECONDS = 2**31 - 1
MAX_TYPES = 16
"""Each type with a time of its own has an index, and MongoDB has at most 64 for a collection."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds for which jobs are kept after their end; None: for ever.

    `of_type`: types that have another time than `usual`.
    """

    usual: int | None = None
    of_type: Mapping[str, int | None] = field(default_factory=dict)


KEEP_ALL = Retention()


def parse_retention(text: str) -> Retention:
    """Reads for example `7d`, `never,compute=1h` or `604800,data=30d,file=never`.

    Raises ValueError.
    """
    usual, of_type = read_by_type(_parts(text), _seconds, "time")
    if len(of_type) > MAX_TYPES:
        raise ValueError(f"must name at most {MAX_TYPES} types, names {len(of_type)}")
    return Retention(usual, of_type)


def _parts(text: str) -> Iterator[tuple[str | None, str]]:
    for part in text.split(","):
        job_type, has_type, time = (each.strip() for each in part.strip().rpartition("="))
        yield (job_type if has_type else None), time


def _seconds(text: str) -> int | None:
    """The seconds of a time such as `90`, `90s` or `7d`; None: never."""
    if text == NEVER:
        return None
    found = re.fullmatch(r"([0-9]{1,10})([smhd]?)", text)
    if found is None:
        raise ValueError(
            f"{text!r} is not a time: must be a whole number, and s, m, h or d for its unit, or {NEVER}"
        )
    seconds = int(found[1]) * UNIT_SECONDS[found[2]]
    if not 1 <= seconds <= MAX_SECONDS:
        raise ValueError(f"{text!r} must be from 1 to {MAX_SECONDS} seconds")
    return seconds
