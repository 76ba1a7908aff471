"""Shared by the tests of the REST API."""

from typing import Any

import httpx

COMPUTE: dict[str, Any] = {"type": "compute", "payload": {"input": "gateway"}}
PATIENCE = 25.0
"""Seconds to wait for an answer. The gateway waits 15 s for a server."""


def error_of(answer: httpx.Response, status: int, code: int) -> dict[str, Any]:
    """Check the shape of an error answer and return its body."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"code", "message", "details"}
    assert body["code"] == code
    assert body["message"].strip()
    return body
