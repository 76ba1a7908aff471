"""Runs the command in this process, with a fake client."""

from collections.abc import Callable

import pytest

from job_client.cli import session
from tests.jobctl import Ran, run_here
from tests.unit.job_client.cli.fake_client import FakeClient

Run = Callable[..., Ran]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()
    monkeypatch.setattr(session, "make_client", lambda _seconds=None: client)
    return client


@pytest.fixture
def run(client: FakeClient) -> Run:  # noqa: ARG001 - it is set up
    """Runs the command."""
    return run_here
