"""The folder in which a test does what the page says, and the cache for what the page downloads."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local_stack.settings import ROOT

CACHE = ROOT / ".cache" / "stubs"
LONGEST = 300
"""Seconds that a command may take, also if it downloads and compiles."""


class Workplace:
    """A folder that looks to the commands like the repository.

    `tools` is on the PATH of the commands. It has protoc, as the page says.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` must be empty."""
        self.folder, self.tools = folder, folder / "tools"
        venv = folder / ".venv"
        venv.symlink_to(sys.prefix)
        (folder / "proto").symlink_to(ROOT / "proto")
        self.tools.mkdir()
        (self.tools / "protoc").symlink_to(venv / "bin/python-grpc-tools-protoc")
        self._path = os.pathsep.join([str(self.tools), str(venv / "bin"), os.environ["PATH"]])

    def run(self, command: str, environment: Mapping[str, str] | None = None) -> str:
        """What a shell command prints. It must succeed."""
        return run(command, self.folder, {"PATH": self._path, **(environment or {})})


def run(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """What a shell command prints. It must succeed. `environment` is added to that of the tests."""
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


@contextmanager
def cache(name: str) -> Iterator[Path]:
    """A folder of the cache, for one process at a time."""
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
