"""The lines that handlers of this worker have logged and that the API server does not have yet.

Of each attempt the latest lines are kept, and of all attempts together the latest ones, too.
"""

import threading
from dataclasses import dataclass

from worker_service.execution.line_buffer import JobLine, LineBuffer, Lines, LineSink

MAX_BYTES = 16 * 1024 * 1024
"""How much memory the lines of all attempts take together."""


@dataclass(frozen=True, slots=True)
class NumberedLines:
    """Lines of one attempt. `first`: the number of the first one."""

    log: "AttemptLines"
    first: int
    lines: list[JobLine]


class AttemptLines(LineSink):
    """What one attempt logs. It takes lines until it is closed."""

    __slots__ = ("_all", "_is_closed", "attempt", "buffer", "job_id")

    def __init__(self, every: "JobLines", job_id: str, attempt: int) -> None:
        super().__init__()
        self._all = every
        self.job_id = job_id
        self.attempt = attempt
        self.buffer: LineBuffer | None = None
        """Made with the first line: most jobs log nothing."""
        self._is_closed = False

    def add(self, line: JobLine) -> None:
        if not self._is_closed:
            self._all.add(self, line)

    def add_all(self, lines: Lines) -> None:
        """Lines that a job process has sent."""
        if lines.skipped and not self._is_closed:
            self._all.skip(self, lines.skipped)
        for line in lines.lines:
            self.add(line)

    def close(self) -> None:
        """The attempt has ended: what its handler still logs does not belong to the job any more."""
        self._is_closed = True


class JobLines:
    """The unsent lines of all attempts in this worker. `add` may be called from any thread."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._unsent: dict[tuple[str, int], AttemptLines] = {}
        """In the order in which they are sent."""
        self._cost = 0

    def __bool__(self) -> bool:
        """Whether there are unsent lines."""
        return bool(self._unsent)

    def open(self, job_id: str, attempt: int) -> AttemptLines:
        """An attempt starts. Costs nothing more until it logs a line."""
        return AttemptLines(self, job_id, attempt)

    def add(self, log: AttemptLines, line: JobLine) -> None:
        with self._lock:
            buffer = self._buffer_of(log)
            before = buffer.cost
            buffer.add(line)
            self._cost += buffer.cost - before
            if buffer:
                self._unsent[log.job_id, log.attempt] = log
            self._make_room()

    def skip(self, log: AttemptLines, count: int) -> None:
        with self._lock:
            self._buffer_of(log).skip(count)

    def unsent(self, attempts: int, max_bytes: int) -> list[NumberedLines]:
        """Lines of up to this many attempts, of up to `max_bytes` or of a single attempt. They stay unsent
        until `note_sent` is called with them.
        """
        with self._lock:
            return self._batch(list(self._unsent.values())[:attempts], max_bytes)

    def unsent_of(self, attempts: list[tuple[str, int]], max_bytes: int) -> list[NumberedLines]:
        """The same, of the attempts with these job ids and numbers."""
        with self._lock:
            logs = [self._unsent[each] for each in attempts if each in self._unsent]
            return self._batch(logs, max_bytes)

    def note_sent(self, sent: list[NumberedLines]) -> None:
        """These lines are stored."""
        with self._lock:
            for each in sent:
                buffer = self._buffer_of(each.log)
                before = buffer.cost
                buffer.remove_until(each.first + len(each.lines) - 1)
                self._cost += buffer.cost - before
                # A log with more lines goes to the end of the queue.
                if self._unsent.pop((each.log.job_id, each.log.attempt), None) and buffer:
                    self._unsent[each.log.job_id, each.log.attempt] = each.log

    def _batch(self, logs: list[AttemptLines], max_bytes: int) -> list[NumberedLines]:
        batch: list[NumberedLines] = []
        cost = 0
        for log in logs:
            buffer = self._buffer_of(log)
            cost += buffer.cost
            if batch and cost > max_bytes:
                break
            batch.append(NumberedLines(log, *buffer.peek()))
        return batch

    def _make_room(self) -> None:
        """Drop all lines of the attempts that have waited longest."""
        while self._cost > self._max_bytes and self._unsent:
            oldest = self._unsent.pop(next(iter(self._unsent)))
            buffer = self._buffer_of(oldest)
            self._cost -= buffer.cost
            buffer.drop_all()

    def _buffer_of(self, log: AttemptLines) -> LineBuffer:
        if log.buffer is None:
            log.buffer = LineBuffer()
        return log.buffer
