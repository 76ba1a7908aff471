"""What tests of the REST API share."""

from typing import Any

import httpx

COMPUTE: dict[str, Any] = {"type": "compute", "payload": {"input": "gateway"}}
PATIENCE = 25.0
"""Seconds to wait for an answer: longer than the gateway waits for a server, which is 15 s."""


def error_of(answer: httpx.Response, status: int, code: int) -> dict[str, Any]:
    """The body of an error answer, which must have the one shape that all of them have."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"code", "message", "details"}
    assert body["code"] == code
    assert body["message"].strip()
    return body
