"""What the notifications need from outside. Adapters implement it."""

from collections.abc import Sequence
from typing import Protocol

from api_server.domain.notification import EndedJob


class UnnotifiedStore(Protocol):
    """Jobs that have ended, and whose notification is not stored yet. Raises StoreUnavailable."""

    async def unnotified(self, limit: int) -> list[EndedJob]:
        """Up to `limit` of them, as a majority of the database has them."""

    async def mark_notified(self, ended: Sequence[EndedJob]) -> None:
        """The notifications of these ends are stored. A job that was retried meanwhile stays as it is."""
