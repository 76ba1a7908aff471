"""Calls that must succeed, waiting for a job, and a worker's log, for all end-to-end tests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from local_stack.stack import Stack
from tests.waiting import wait_for


@contextmanager
def jobs_client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.endpoints.jobs_url, timeout=20, trust_env=False) as client:
        yield client


@contextmanager
def workers_client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.endpoints.workers_url, timeout=20, trust_env=False) as client:
        yield client


def create(client: httpx.Client, job_type: str, payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = client.post("/jobs", json={"type": job_type, "payload": payload, **fields})
    assert answer.is_success, answer.text
    job: dict[str, Any] = answer.json()
    return job


def get(client: httpx.Client, job_id: str) -> dict[str, Any]:
    answer = client.get(f"/jobs/{job_id}")
    assert answer.is_success, answer.text
    job: dict[str, Any] = answer.json()
    return job


def wait_for_status(client: httpx.Client, job_id: str, *statuses: str) -> dict[str, Any]:
    """The job, once it is in one of `statuses`."""

    def reached() -> dict[str, Any] | None:
        job = get(client, job_id)
        return job if job["status"] in statuses else None

    job: dict[str, Any] = wait_for(reached, f"job {job_id} is {' or '.join(statuses)}")
    return job


def wait_until_ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    return wait_for_status(client, job_id, "completed", "failed", "cancelled")


def worker_events(stack: Stack, job_id: str, number: int = 1) -> list[str]:
    """The names of the events that a worker has logged about a job, in order."""
    complete_lines = stack.log_file("worker", number).read_text().split("\n")[:-1]
    events = [json.loads(line) for line in complete_lines]
    return [event["event"] for event in events if event.get("job_id") == job_id]
