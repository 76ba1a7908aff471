"""Keeps the latest progress of each running job until a heartbeat has sent it."""

from collections.abc import Iterable

from job_client._gen.jobs.v1.fleet_service_pb2 import JobProgress
from job_client._gen.jobs.v1.job_pb2 import Progress
from worker_service.handler_api.progress import MAX_MESSAGE, ProgressUpdate


class LatestProgress:
    """The latest update of one attempt at a job. Any thread may call `update`, as often as it likes."""

    __slots__ = ("_latest", "attempt", "job_id", "sent")

    def __init__(self, job_id: str, attempt: int) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self._latest: ProgressUpdate | None = None
        self.sent: ProgressUpdate | None = None
        """The update that was sent last."""

    def update(self, update: ProgressUpdate) -> None:
        self._latest = update

    @property
    def unsent(self) -> ProgressUpdate | None:
        """The latest update, or None if it was sent."""
        latest = self._latest
        return None if latest is self.sent else latest


class ProgressBoard:
    """The updates that have waited longest are sent first, so that every job gets its turn."""

    def __init__(self) -> None:
        self._running: dict[LatestProgress, None] = {}
        """In the order of their turns."""

    def open(self, job_id: str, attempt: int) -> LatestProgress:
        """An attempt starts."""
        latest = LatestProgress(job_id, attempt)
        self._running[latest] = None
        return latest

    def close(self, latest: LatestProgress) -> None:
        """An attempt has ended. Its unsent progress is dropped."""
        self._running.pop(latest, None)

    def unsent(self, limit: int) -> dict[LatestProgress, ProgressUpdate]:
        """Up to `limit` updates to send. They stay unsent until `note_sent` is called with them."""
        updates: dict[LatestProgress, ProgressUpdate] = {}
        for latest in self._running:
            if len(updates) == limit:
                break
            if (update := latest.unsent) is not None:
                updates[latest] = update
        return updates

    def note_sent(self, updates: dict[LatestProgress, ProgressUpdate]) -> None:
        """These updates were sent. Their jobs go to the end of the queue."""
        for latest, update in updates.items():
            latest.sent = update
            if latest in self._running:
                del self._running[latest]
                self._running[latest] = None


def job_progress(updates: dict[LatestProgress, ProgressUpdate]) -> Iterable[JobProgress]:
    """The updates as a heartbeat carries them."""
    for latest, update in updates.items():
        # Protobuf refuses a lone surrogate.
        message = update.message.encode(errors="backslashreplace").decode()[:MAX_MESSAGE]
        yield JobProgress(
            job_id=latest.job_id,
            attempt=latest.attempt,
            progress=Progress(percent=update.percent, message=message),
        )
