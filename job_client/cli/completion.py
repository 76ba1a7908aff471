"""What a shell offers at the Tab key: names that the server knows. If it does not answer soon: nothing."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from job_client.cli import session

if TYPE_CHECKING:
    from job_client.sync_client import JobClient

SECONDS = 1.0
"""How long the user waits for the server, at most."""
STATUSES = ("queued", "processing", "completed", "failed", "cancelled")
HARMLESS = re.compile(r"[A-Za-z0-9._/-]+")
"""Of types and workers. zsh evaluates what it is offered, so a name with other characters is left out."""


def statuses(incomplete: str) -> list[str]:
    return [each for each in STATUSES if each.startswith(incomplete)]


def types(incomplete: str) -> list[str]:
    return _offered(incomplete, lambda client: (each.type for each in client.types()))


def accepted_types(incomplete: str) -> list[str]:
    """Those of which jobs can be submitted."""
    return _offered(incomplete, lambda client: (each.type for each in client.types() if each.accepted))


def worker_names(incomplete: str) -> list[str]:
    return _offered(incomplete, lambda client: (each.identity.name for each in client.workers().workers))


def worker_ids(incomplete: str) -> list[str]:
    return _offered(incomplete, lambda client: (each.identity.worker_id for each in client.workers().workers))


def _offered(incomplete: str, read: "Callable[[JobClient], Iterable[str]]") -> list[str]:
    try:
        with session.make_client(SECONDS) as client:
            names = sorted(read(client))
    except Exception:  # noqa: BLE001 - a message of any error would stand in the middle of the user's line
        return []
    return [name for name in names if name.startswith(incomplete) and HARMLESS.fullmatch(name)]
