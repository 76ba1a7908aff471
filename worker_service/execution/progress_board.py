"""The latest word of each job that runs, until a heartbeat has carried it."""

from collections.abc import Iterable

from jobs.v1.fleet_service_pb2 import JobProgress
from jobs.v1.job_pb2 import Progress
from worker_service.handler_api.progress import MAX_MESSAGE, ProgressUpdate


class LatestProgress:
    """What one attempt at a job has said last. `say` may be called from any thread, however often: it only notes."""

    __slots__ = ("_word", "attempt", "job_id", "sent")

    def __init__(self, job_id: str, attempt: int) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self._word: ProgressUpdate | None = None
        self.sent: ProgressUpdate | None = None
        """The word that was carried last."""

    def say(self, word: ProgressUpdate) -> None:
        """Replace the word before."""
        self._word = word

    @property
    def unsent(self) -> ProgressUpdate | None:
        """The latest word, unless it has been carried."""
        word = self._word
        return None if word is self.sent else word


class ProgressBoard:
    """Whose word has waited longest is carried first, so that no job is left out however many speak."""

    def __init__(self) -> None:
        self._running: dict[LatestProgress, None] = {}
        """In the order of their turns."""

    def open(self, job_id: str, attempt: int) -> LatestProgress:
        """An attempt begins."""
        latest = LatestProgress(job_id, attempt)
        self._running[latest] = None
        return latest

    def close(self, latest: LatestProgress) -> None:
        """It has ended: what it has said and nobody has carried counts no more."""
        self._running.pop(latest, None)

    def unsent(self, most: int) -> dict[LatestProgress, ProgressUpdate]:
        """Words to carry, `most` of them. They stay unsent until `note_sent` is told of them."""
        words: dict[LatestProgress, ProgressUpdate] = {}
        for latest in self._running:
            if len(words) == most:
                break
            if (word := latest.unsent) is not None:
                words[latest] = word
        return words

    def note_sent(self, words: dict[LatestProgress, ProgressUpdate]) -> None:
        """These have been carried; their jobs go to the end of the line."""
        for latest, word in words.items():
            latest.sent = word
            if latest in self._running:
                del self._running[latest]
                self._running[latest] = None


def job_progress(words: dict[LatestProgress, ProgressUpdate]) -> Iterable[JobProgress]:
    """Words as a heartbeat carries them."""
    for latest, word in words.items():
        # A lone surrogate does not fit into protobuf.
        message = word.message.encode(errors="backslashreplace").decode()[:MAX_MESSAGE]
        yield JobProgress(
            job_id=latest.job_id,
            attempt=latest.attempt,
            progress=Progress(percent=word.percent, message=message),
        )
