"""Clients for most end-to-end tests."""

from collections.abc import Iterator

import httpx
import pytest

from local_stack.stack import Stack
from tests.e2e.jobs_api import jobs_client


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    """A REST client of the jobs port."""
    with jobs_client(stack) as client:
        yield client
