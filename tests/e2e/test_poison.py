"""A job that crashes its worker repeatedly fails, and the jobs that run beside it complete."""

from typing import Any

import httpx
import pytest

from local_stack.stack import Stack
from tests.e2e.jobs_api import create, get, wait_until_ended
from tests.gate import Gate
from tests.waiting import wait_for

BESIDE_OTHERS, ALONE = 4, 3
"""How often the deadly job is lost beside other jobs, and then alone."""
DEADLINE = 240.0


def counted(client: httpx.Client) -> float:
    """How many deadly jobs have failed, by the statistics."""
    types = client.get("/stats").json()["types"]
    return sum(float(each["failedTotal"]) for each in types if each["type"] == "deadly")


@pytest.mark.timeout(300)  # After each loss a worker must start.
def test_of_jobs_that_are_lost_together_only_the_deadly_one_fails(
    stack: Stack, client: httpx.Client, gate: Gate
) -> None:
    # The other jobs take longer, so they still run when the deadly job crashes the worker.
    deadly = create(client, "deadly", {**gate.payload, "seconds": 0.5})["id"]
    others = [create(client, "slow", {**gate.payload, "seconds": 1.0})["id"] for _ in range(3)]

    def failed_job() -> dict[str, Any] | None:
        if not stack.is_running("worker"):
            stack.spawn("worker")
        job = get(client, deadly)
        return job if job["status"] == "failed" else None

    try:
        job = wait_for(failed_job, "the deadly job has failed", DEADLINE)
    finally:
        if not stack.is_running("worker"):
            stack.spawn("worker")
        stack.wait_ready("worker")

    assert (job["error"]["reason"], job["losses"], job["failures"]) == ("POISON", BESIDE_OTHERS + ALONE, 0)
    assert [attempt["outcome"] for attempt in job["history"]] == ["lost"] * (BESIDE_OTHERS + ALONE)
    assert gate.runs(deadly) == list(range(1, BESIDE_OTHERS + ALONE + 1))
    wait_for(lambda: counted(client) >= 1, "the failure is counted")
    ended = [wait_until_ended(client, job_id) for job_id in others]
    assert {job["status"] for job in ended} == {"completed"}
    assert all(job["losses"] <= BESIDE_OTHERS for job in ended)
