"""A name for a worker without one: the host's name and the lowest number that no other process has.

Each number has a lock file. The kernel releases the lock however the process ends, so there is nothing to
clean up.
"""

import fcntl
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

FOLDER = "distributed-processing-workers"
MAX_NUMBER = 1000
MAX_NAME = 128
"""Characters; the contract's limit for a worker's name."""
MAX_STEM = MAX_NAME - len(f"-{MAX_NUMBER}")


class NoFreeName(Exception):
    """There is no free number. The message says why."""


def take_default_name(host: str) -> str:
    """A name that belongs to this process until it ends. Raises NoFreeName."""
    stem = name_stem(host)
    try:
        try:
            return _take_first(_shared_folder(), stem)
        except (OSError, NoFreeName):
            # Another user has made the folder, and not for all, or has taken all numbers. The name has our
            # user's number, because workers of other users do not see our locks.
            user = os.getuid()
            return _take_first(_own_folder(user), f"{stem[: MAX_STEM - len(f'-{user}')]}-{user}")
    except OSError as error:
        raise NoFreeName(str(error)) from None


def _take_first(folder: Path, stem: str) -> str:
    """The name with the lowest free number. Raises NoFreeName, and OSError if the folder cannot be used."""
    for number in range(1, MAX_NUMBER + 1):
        name = f"{stem}-{number}"
        if _take(folder / name):
            return name
    raise NoFreeName(f"all numbers up to {MAX_NUMBER} are taken in {folder}")


def name_stem(host: str) -> str:
    """The host's name, cut and cleaned so that with any number it is a worker's name."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "-", host)
    return cleaned[:MAX_STEM] or "worker"


def _shared_folder() -> Path:
    """One folder for all users, as /tmp is."""
    folder = Path(tempfile.gettempdir()) / FOLDER
    try:
        folder.mkdir()
    except FileExistsError:
        if folder.is_symlink():
            # It may lead to any other folder.
            raise
        return folder
    # The umask changes the mode that is given to mkdir.
    folder.chmod(0o1777)
    return folder


def _own_folder(user: int) -> Path:
    """The folder of one user. Raises OSError if somebody else has made it."""
    folder = Path(tempfile.gettempdir()) / f"{FOLDER}-{user}"
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    if folder.is_symlink() or folder.lstat().st_uid != user:
        raise PermissionError(f"{folder} belongs to another user; set WORKER_NAME")
    return folder


def _take(path: Path) -> bool:
    """Lock a file until this process ends; whether the lock was free."""
    try:
        file = _open(path)
    except PermissionError:
        if path.exists():
            # The file of another user, without permission for us.
            return False
        raise
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    # The file stays open. Programs that handlers start do not inherit it. A fork does, and must not keep the
    # lock.
    os.register_at_fork(after_in_child=lambda: os.close(file))
    return True


def _open(path: Path) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        try:
            # Without O_CREAT: Linux forbids it for another user's file in a folder that is open to all.
            return os.open(path, flags)
        except FileNotFoundError:
            try:
                return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
            except FileExistsError:
                continue
