"""Clients for the tests of what a hostile client can do."""

from collections.abc import Iterator

import httpx
import pytest

from local_stack.stack import Stack
from tests.e2e.rest import PATIENCE


@pytest.fixture
def jobs(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.endpoints.jobs_url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def workers(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.endpoints.workers_url, timeout=PATIENCE) as client:
        yield client
