"""Commits offsets: one commit at a time, each with all that may be committed by then.

Nobody waits for a commit, so it is left until more can go with it, and until the jobs just claimed have been run.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog

from worker_service.api.backoff import Backoff
from worker_service.kafka.offsets import OffsetTracker, Partition, Ticket

log = structlog.get_logger()

COMMIT_AFTER_SECONDS = 0.2
"""What was claimed within this time before a crash is polled again, and refused."""


class CommitFailed(Exception):
    """The offsets were not stored; trying again may help."""


class PartitionsLost(CommitFailed):
    """The partitions belong to another member of the group by now, or will be assigned anew."""


class OffsetStore(Protocol):
    """Where offsets are kept."""

    def assignment(self) -> frozenset[Partition]:
        """The partitions that this process consumes now."""

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the next offset to read of each partition. Raises PartitionsLost, CommitFailed."""


class Committer:
    """Told of finished records by anybody, commits in a task of its own."""

    def __init__(self, tracker: OffsetTracker, backoff: Backoff) -> None:
        self._tracker = tracker
        self._backoff = backoff
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()

    def finish(self, ticket: Ticket) -> None:
        """A record's claim is durable or was refused."""
        self._tracker.finish(ticket)
        self._wake.set()

    async def run(self, store: OffsetStore) -> None:
        """Commit until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(COMMIT_AFTER_SECONDS)
            self._wake.clear()
            try:
                await self._commit(store)
            except CommitFailed as error:
                log.warning("commit_failed", problem=str(error))
                self._wake.set()
                await asyncio.sleep(self._backoff.next())
            else:
                self._backoff.reset()

    async def flush(self, store: OffsetStore, seconds: float) -> None:
        """Commit what is due, once, within `seconds`. What could not be committed is polled again, and refused."""
        try:
            async with asyncio.timeout(seconds):
                await self._commit(store)
        except (CommitFailed, TimeoutError) as error:
            log.warning("commit_failed", problem=str(error) or f"no answer within {seconds:g} s")

    async def _commit(self, store: OffsetStore) -> None:
        async with self._lock:
            assigned = store.assignment()
            commits = [commit for commit in self._tracker.due() if commit.partition in assigned]
            if not commits:
                return
            try:
                await store.commit({commit.partition: commit.offset for commit in commits})
            except PartitionsLost as error:
                log.warning("partitions_lost", partitions=len(commits), problem=str(error))
                self._tracker.lose(commits)
            else:
                self._tracker.committed(commits)
