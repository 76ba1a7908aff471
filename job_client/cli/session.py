"""The client of a command, from the environment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from job_client.sync_client import JobClient


def make_client(seconds: float | None = None) -> "JobClient":
    """`seconds`: the maximum of a call and of its connection; None: the client's own.

    Raises ValueError, which names the variable that is wrong.
    """
    from job_client.connection import from_environment  # noqa: PLC0415 - `--help` needs no gRPC
    from job_client.sync_client import JobClient  # noqa: PLC0415 - the same

    limits: dict[str, Any] = {} if seconds is None else {"timeout": seconds, "connect_timeout": seconds}
    return JobClient(**from_environment(), **limits)


@contextmanager
def connected() -> "Iterator[JobClient]":
    """An open client, closed at the end."""
    try:
        client = make_client()
    except (ValueError, TypeError) as error:
        raise typer.BadParameter(str(error), param_hint="the environment") from None
    with client:
        yield client
