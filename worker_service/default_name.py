"""A name for a worker that was given none: the host's name and the lowest number that no other process has.

A lock file stands for each number. The kernel lets go of the lock however the process ends, so nothing is to be tidied up.
"""

import fcntl
import os
import re
import tempfile
from pathlib import Path

FOLDER = "distributed-processing-workers"
MOST_SLOTS = 1000
MAX_NAME = 128
"""Characters; the contract's limit for a worker's name."""


class NoFreeName(Exception):
    """No number can be had; says why."""


def take_default_name(host: str) -> str:
    """A name that belongs to this process until it ends. Raises NoFreeName."""
    stem = name_stem(host)
    try:
        folder = _shared_folder()
        for number in range(1, MOST_SLOTS + 1):
            name = f"{stem}-{number}"
            if _take(folder / name):
                return name
    except OSError as error:
        raise NoFreeName(str(error)) from None
    raise NoFreeName(f"all numbers up to {MOST_SLOTS} are taken in {folder}")


def name_stem(host: str) -> str:
    """The host's name, cut and cleaned so that with any number it is a worker's name."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "-", host)
    return cleaned[: MAX_NAME - len(f"-{MOST_SLOTS}")] or "worker"


def _shared_folder() -> Path:
    """One for all users, as /tmp itself is."""
    folder = Path(tempfile.gettempdir()) / FOLDER
    try:
        folder.mkdir()
    except FileExistsError:
        return folder
    # The mode that mkdir takes is subject to the umask.
    folder.chmod(0o1777)
    return folder


def _take(path: Path) -> bool:
    """Lock a file for the life of this process; whether it could be had."""
    try:
        file = _open(path)
    except PermissionError:
        if path.exists():
            # Another user's, and not for us to look at.
            return False
        raise
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    # The file stays open. Programs that handlers start do not get it; a mere fork would, and must not keep the lock.
    os.register_at_fork(after_in_child=lambda: os.close(file))
    return True


def _open(path: Path) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        try:
            # Without O_CREAT, which Linux forbids for another user's file in a folder that is open to all.
            return os.open(path, flags)
        except FileNotFoundError:
            try:
                return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
            except FileExistsError:
                continue
