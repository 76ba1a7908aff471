"""Reads settings with one value for all job types, and others for single types. Pure."""

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from contract_runtime.job_types import JOB_TYPE_PATTERN

NEVER = "never"
"""The word for a type, or for all types, to which the setting does not apply."""

T = TypeVar("T")


def read_by_type(
    parts: Iterable[tuple[str | None, str]], read: Callable[[str], T], what: str
) -> tuple[T | None, dict[str, T]]:
    """The value for all types, None if there is none, and the values of single types.

    `parts`: a type, or None for all types, and the text of the value. `read`: the value of such a text. It
    may raise ValueError. `what`: the word for a value. Raises ValueError.
    """
    usual: list[T] = []
    of_type: dict[str, T] = {}
    for job_type, text in parts:
        if job_type is None:
            usual.append(read(text))
        elif re.fullmatch(JOB_TYPE_PATTERN, job_type) is None:
            raise ValueError(f"{job_type!r} is not the name of a job type")
        elif job_type in of_type:
            raise ValueError(f"must name each type once, names {job_type} twice")
        else:
            of_type[job_type] = read(text)
    if len(usual) > 1:
        raise ValueError(f"must have at most one {what} without a type")
    return (usual[0] if usual else None), of_type
