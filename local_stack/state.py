"""What runs, in a file, so that another process can stop it."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_stack.process import ProcessId


class StateFile:
    """Processes by key, such as `worker-2`; each change is written at once, atomically."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "state.json"

    def read(self) -> dict[str, ProcessId]:
        try:
            stored = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return {key: ProcessId(**value) for key, value in stored.items()}

    def put(self, key: str, process: ProcessId) -> None:
        with self._locked() as processes:
            processes[key] = process

    def remove(self, key: str) -> None:
        with self._locked() as processes:
            processes.pop(key, None)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """For one process at a time, so that two do not start the same part."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".starting").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _locked(self) -> Iterator[dict[str, ProcessId]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            processes = self.read()
            yield processes
            scratch = self._path.with_suffix(".new")
            scratch.write_text(
                json.dumps({key: vars(process) for key, process in processes.items()}, indent=1)
            )
            scratch.replace(self._path)
