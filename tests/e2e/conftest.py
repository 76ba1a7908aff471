"""Clients for most end-to-end tests."""

from collections.abc import Iterator

import httpx
import pytest

from local_stack.stack import Stack
from tests.e2e.jobs_api import jobs_client
from tests.e2e.rest import PATIENCE


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    """A REST client of the jobs port."""
    with jobs_client(stack) as client:
        yield client


@pytest.fixture
def jobs(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.endpoints.jobs_url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def workers(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.endpoints.workers_url, timeout=PATIENCE) as client:
        yield client
