"""Says when the jobs of tests/handlers.py end, and sees who ran them."""

from pathlib import Path


class Gate:
    """For jobs with `payload`."""

    def __init__(self, directory: Path) -> None:
        self._gate = directory / "gate"
        self._ledger = directory / "ledger"
        self.payload = {"gate": str(self._gate), "ledger": str(self._ledger)}

    def open(self) -> None:
        self._gate.touch()

    def processes(self, job_id: str) -> list[int]:
        """Where they ran: process ids, in order."""
        return [int(line.split()[2]) for line in self._lines(job_id)]

    def was_stopped(self, job_id: str) -> bool:
        """Whether an async handler has been cancelled."""
        return self._ledger.with_name(f"stopped-{job_id}").exists()

    def has_returned(self, job_id: str) -> bool:
        """Whether a handler in a thread or process has come to its end."""
        return self._ledger.with_name(f"returned-{job_id}").exists()

    def runs(self, job_id: str) -> list[int]:
        """The attempts that were started, in order."""
        return [int(line.split()[1]) for line in self._lines(job_id)]

    def _lines(self, job_id: str) -> list[str]:
        lines = self._ledger.read_text().splitlines() if self._ledger.exists() else []
        return [line for line in lines if line.startswith(job_id)]
