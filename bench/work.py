"""The work that every system is given: the SHA-256 of a string of 64 characters, another string for each job. Pure."""

import hashlib
from collections.abc import Iterable

from bench.errors import BenchFailed

DIGITS = 64
BLOCK = 10_000_000


class WrongResults(BenchFailed):
    """What was read back is not what was submitted; the text says how it differs."""


def text(number: int) -> str:
    """The string of one job."""
    return f"{number:0{DIGITS}d}"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def check(results: Iterable[tuple[str, str]], first: int, jobs: int) -> None:
    """Raise WrongResults unless these (text, hash) pairs are those of `jobs` jobs from number `first` on, each once."""
    seen = set()
    for job_text, result in results:
        if result != digest(job_text):
            raise WrongResults(f"{job_text} has the result {result!r}")
        if job_text in seen:
            raise WrongResults(f"{job_text} stands there twice")
        seen.add(job_text)
    if len(seen) != jobs:
        raise WrongResults(f"{jobs} jobs were submitted, {len(seen)} have a result")
    strangers = sorted(seen.difference(text(number) for number in range(first, first + jobs)))
    if strangers:
        raise WrongResults(f"{strangers[0]} was never submitted")


class Numbers:
    """Gives each row of the benchmark numbers of its own, a block of BLOCK."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        """The first number of a block that nobody has had."""
        self._next += BLOCK
        return self._next
