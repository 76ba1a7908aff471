"""The work of each job: the SHA-256 of a string of 64 characters, which differs for each job. Pure."""

import hashlib
from collections.abc import Iterable

from bench.errors import BenchFailed

DIGITS = 64
BLOCK = 10_000_000


class WrongResults(BenchFailed):
    """The results do not fit the submitted jobs. The message tells the difference."""


def text(number: int) -> str:
    """The string of the job with this number."""
    return f"{number:0{DIGITS}d}"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def check(results: Iterable[tuple[str, str]], first: int, jobs: int) -> None:
    """Raise WrongResults unless `results` has each of `jobs` jobs, from number `first` on, once and right.

    `results` are pairs of text and hash.
    """
    seen = set()
    for job_text, result in results:
        if result != digest(job_text):
            raise WrongResults(f"{job_text} has the result {result!r}")
        if job_text in seen:
            raise WrongResults(f"{job_text} is there twice")
        seen.add(job_text)
    if len(seen) != jobs:
        raise WrongResults(f"{jobs} jobs were submitted, {len(seen)} have a result")
    unknown = sorted(seen.difference(text(number) for number in range(first, first + jobs)))
    if unknown:
        raise WrongResults(f"{unknown[0]} was never submitted")


class Numbers:
    """Gives each row of the benchmark its own block of BLOCK job numbers."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        """The first number of a new block."""
        self._next += BLOCK
        return self._next
