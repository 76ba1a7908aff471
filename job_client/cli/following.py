"""Waits for the end of jobs and shows how far they are. Ctrl-C leaves the jobs running."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from job_client.cli.exits import INTERRUPTED, TIMED_OUT
from job_client.cli.job_views import progress_text
from job_client.cli.output import Output

if TYPE_CHECKING:
    from concurrent.futures import Future

    from job_client.job import Job
    from job_client.sync_client import JobClient

WAITS = 32
"""Calls that wait at a time."""


def follow(
    client: "JobClient",
    job_id: str,
    output: Output,
    *,
    timeout: float | None = None,
    on_state: Callable[["Job"], None] = lambda _job: None,
) -> "Job":
    """The job at its end. `on_state` gets each state before, and the last one too.

    Raises typer.Exit at Ctrl-C and after `timeout` seconds.
    """
    with leaving_running(output, job_id), output.bar(f"{job_id} is queued", None) as bar:
        for job in client.watch(job_id, timeout=timeout):
            on_state(job)
            if job.has_ended:
                return job
            percent = job.progress.percent if job.progress is not None else 0.0
            bar.show(percent, _text_of(job), total=100.0 if job.progress is not None else None)
    output.say(f"The time is over and the job goes on. To wait for it again: jobctl watch {job_id}")
    raise typer.Exit(TIMED_OUT)


def _text_of(job: "Job") -> str:
    if job.status.value == "queued":
        return f"queued; why: jobctl why {job.id}"
    return f"{job.status.value} {progress_text(job)}"


@contextmanager
def leaving_running(output: Output, job_id: str) -> Iterator[None]:
    """At Ctrl-C, say how to come back to the job, and exit."""
    try:
        yield
    except KeyboardInterrupt:
        output.say(f"The job goes on. To wait for it again: jobctl watch {job_id}")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def leaving_submitted(output: Output, job_id: str) -> Iterator[None]:
    """At Ctrl-C while a job is submitted, say how to find out whether it is stored, and exit."""
    try:
        yield
    except KeyboardInterrupt:
        output.say(f"The job may have been submitted. To see: jobctl get {job_id}")
        raise typer.Exit(INTERRUPTED) from None


def follow_all(
    client: "JobClient", ids: list[str], output: Output, *, timeout: float | None = None
) -> Iterator["Job"]:
    """Each job at its end, in the order in which they end. Raises typer.Exit as `follow` does."""
    counts: Counter[str] = Counter()
    give_up = None if timeout is None else time.monotonic() + timeout
    try:
        with output.bar("waiting", len(ids)) as bar:
            for job in _ended(client, ids, give_up):
                counts[job.status.value] += 1
                bar.show(counts.total(), counts_text(counts))
                yield job
    except KeyboardInterrupt:
        output.say(f"{_left(counts, ids)} go on. To see them: jobctl list")
        raise typer.Exit(INTERRUPTED) from None
    if counts.total() < len(ids):
        output.say(f"The time is over and {_left(counts, ids)} go on. To see them: jobctl list")
        raise typer.Exit(TIMED_OUT)


def _left(counts: Counter[str], ids: list[str]) -> str:
    return f"{len(ids) - counts.total()} of {len(ids)} jobs"


def counts_text(counts: Counter[str]) -> str:
    """`425 completed, 75 failed`."""
    return ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))


def _ended(client: "JobClient", ids: Iterable[str], give_up: float | None) -> Iterator["Job"]:
    """Each job at its end. Ends early when it is time to give up."""
    from concurrent.futures import (  # noqa: PLC0415 - few commands need it
        FIRST_COMPLETED,
        ThreadPoolExecutor,
        wait,
    )

    from job_client.errors import DeadlineExceeded  # noqa: PLC0415 - `--help` needs no gRPC

    left = iter(ids)
    waiting: set[Future[Job]] = set()
    executor = ThreadPoolExecutor(WAITS)
    try:
        while True:
            while len(waiting) < WAITS and (job_id := next(left, None)) is not None:
                seconds = None if give_up is None else max(0.0, give_up - time.monotonic())
                waiting.add(executor.submit(client.wait, job_id, timeout=seconds))
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except DeadlineExceeded:
        if give_up is None:
            raise
    finally:
        # The threads end when the client is closed.
        executor.shutdown(wait=False, cancel_futures=True)
