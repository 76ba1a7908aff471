"""A file with all running parts, so that another process can see and stop them."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from local_stack.process import ProcessId


@dataclass(frozen=True)
class Started:
    """A part that was started. `fingerprints`: of its settings, see Part."""

    process: ProcessId
    ports: tuple[int, ...]
    fingerprints: Mapping[str, str]


class StateFile:
    """The parts by key, such as `worker-2`. Each change is written at once and atomically."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "state.json"

    def read(self) -> dict[str, Started]:
        try:
            stored = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return {
            key: Started(ProcessId(**value["process"]), tuple(value["ports"]), value.get("fingerprints", {}))
            for key, value in stored.items()
        }

    def put(self, key: str, started: Started) -> None:
        with self._locked() as parts:
            parts[key] = started

    def remove(self, key: str) -> None:
        with self._locked() as parts:
            parts.pop(key, None)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Held by one process at a time, so that two processes do not start the same part."""
        with self._lock("starting"):
            yield

    @contextmanager
    def _locked(self) -> Iterator[dict[str, Started]]:
        with self._lock("lock"):
            parts = self.read()
            yield parts
            scratch = self._path.with_suffix(".new")
            scratch.write_text(json.dumps({key: asdict(part) for key, part in parts.items()}, indent=1))
            scratch.replace(self._path)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(f".{name}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
