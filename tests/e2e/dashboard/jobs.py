"""Jobs that the tests of the dashboard look at."""

from typing import Any

import httpx

from tests.e2e.jobs_api import create, wait_until_ended

AT_ONCE = {"initialBackoff": "0s", "maxAttempts": 1}


def failed(client: httpx.Client, text: str = "The bucket does not exist", **fields: Any) -> dict[str, Any]:
    job = create(client, "broken", {"text": text}, retryPolicy=AT_ONCE, **fields)
    return wait_until_ended(client, job["id"])


def cancel(client: httpx.Client, job: dict[str, Any]) -> None:
    assert client.post(f"/jobs/{job['id']}:cancel", json={}).is_success


def completed(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    return wait_until_ended(client, create(client, "compute", {"input": "hello"}, **fields)["id"])
