"""The client of a command, from the environment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from job_client.sync_client import JobClient


def make_client() -> "JobClient":
    """Raises ValueError, which names the variable that is wrong."""
    from job_client.sync_client import JobClient  # noqa: PLC0415 - `--help` needs no gRPC

    return JobClient.from_env()


@contextmanager
def connected() -> "Iterator[JobClient]":
    """An open client, closed at the end."""
    try:
        client = make_client()
    except (ValueError, TypeError) as error:
        raise typer.BadParameter(str(error), param_hint="the environment") from None
    with client:
        yield client
