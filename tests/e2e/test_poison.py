"""A job that takes its worker down again and again ends as failed, and no job beside it does."""

from typing import Any

import httpx
import pytest

from local_stack.stack import Stack
from tests.e2e.jobs_api import create, get, wait_for, wait_until_ended
from tests.gate import Gate

IN_COMPANY, ALONE = 4, 3
"""Losses of the guilty one."""
DEADLINE = 240.0


@pytest.mark.timeout(300)  # Each loss takes the start of a worker.
def test_only_the_guilty_one_of_jobs_that_are_lost_together_is_failed(
    stack: Stack, client: httpx.Client, gate: Gate
) -> None:
    # Each time the guilty one runs, its neighbours are in the middle of their work.
    guilty = create(client, "deadly", {**gate.payload, "seconds": 0.5})["id"]
    innocent = [create(client, "slow", {**gate.payload, "seconds": 1.0})["id"] for _ in range(3)]

    def end_of_the_guilty() -> dict[str, Any] | None:
        if not stack.is_running("worker"):
            stack.spawn("worker")
        job = get(client, guilty)
        return job if job["status"] == "failed" else None

    try:
        job = wait_for(end_of_the_guilty, "the guilty one has failed", DEADLINE)
    finally:
        if not stack.is_running("worker"):
            stack.spawn("worker")
        stack.wait_ready("worker")

    assert (job["error"]["reason"], job["losses"], job["failures"]) == ("POISON", IN_COMPANY + ALONE, 0)
    assert [attempt["outcome"] for attempt in job["history"]] == ["lost"] * (IN_COMPANY + ALONE)
    assert gate.runs(guilty) == list(range(1, IN_COMPANY + ALONE + 1))
    ended = [wait_until_ended(client, job_id) for job_id in innocent]
    assert {job["status"] for job in ended} == {"completed"}
    assert all(job["losses"] <= IN_COMPANY for job in ended)
