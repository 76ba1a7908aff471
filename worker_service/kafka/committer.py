"""Commits offsets: one commit at a time, with all offsets that are due.

Nobody waits for a commit. So it is delayed: more offsets can go with it, and new jobs start first.
"""

import asyncio

import structlog

from worker_service.api.backoff import Backoff
from worker_service.kafka.offsets import OffsetTracker, Ticket
from worker_service.kafka.ports import FinishedRecords, OffsetStore

log = structlog.get_logger()

COMMIT_AFTER_SECONDS = 0.2
"""After a crash, records finished within this time before it are polled again, and their claims are refused.
"""


class CommitFailed(Exception):
    """The offsets were not stored. Another try may help."""


class PartitionsLost(CommitFailed):
    """Another member of the group has the partitions by now, or a rebalance is about to assign them."""


class Committer(FinishedRecords):
    """Takes finished records from any part, and commits their offsets in its own task."""

    def __init__(self, tracker: OffsetTracker, backoff: Backoff) -> None:
        self.tracker = tracker
        self._backoff = backoff
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()

    def finish(self, ticket: Ticket) -> None:
        """The claim of this record's job is durable or was refused, or the record can never be claimed."""
        self.tracker.finish(ticket)
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
        """Commit what is due, once, within `seconds`.

        After a failure the records are polled again and their claims refused.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._commit(store)
        except (CommitFailed, TimeoutError) as error:
            log.warning("commit_failed", problem=str(error) or f"no answer within {seconds:g} s")

    async def _commit(self, store: OffsetStore) -> None:
        async with self._lock:
            assigned = store.assignment()
            commits = [commit for commit in self.tracker.due() if commit.partition in assigned]
            if not commits:
                return
            try:
                await store.commit({commit.partition: commit.offset for commit in commits})
            except PartitionsLost as error:
                log.warning("partitions_lost", partitions=len(commits), problem=str(error))
                self.tracker.lose(commits)
            else:
                self.tracker.committed(commits)
