"""Job type `file`: the digest and size of a file in the worker's folder of files.

The payload has `path`, relative to that folder, or absolute and inside it. The result has `hash`, the SHA-256
in hex; `size_bytes`; and `lines`, the number of line feeds, plus one if the last line has none. Links are
followed if they stay inside the folder. The file is read in blocks, so it can have any size.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from worker_service.handler_api.errors import InputError
from worker_service.handler_api.handler import HandlerSpec
from worker_service.handler_api.job import Job
from worker_service.handlers.fields import text_field

BLOCK = 1024 * 1024
"""Bytes that are read at a time."""
MAX_PATH = 4096
"""Bytes. Linux opens no longer path, and the time to resolve a path grows with the square of its length."""
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
"""O_NONBLOCK: otherwise opening a named pipe would wait for a writer."""


class FilesNotAvailable(RuntimeError):
    """The folder of files itself cannot be opened."""


def file_handler(root: Path) -> HandlerSpec:
    """The handler for files in the folder `root`."""
    resolved_root = root.resolve()

    def describe_file(job: Job) -> dict[str, Any]:
        descriptor = open_inside(resolved_root, text_field(job.payload, "path"))
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - it is a descriptor, not a path
            return describe(file)

    return HandlerSpec("file", describe_file, run_in="thread")


def open_inside(root: Path, path: str) -> int:
    """Open the regular file `path` inside `root`, which is resolved. Returns a descriptor.

    The path is resolved first. Then each part is opened from the root on without following links, so a link
    that appears in between is refused. Raises InputError, FilesNotAvailable.
    """
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise InputError("path", f"must be at most {MAX_PATH} bytes, has {length}")
    if "\0" in path:
        raise InputError("path", "must not have a NUL character")
    try:
        parts = (root / path).resolve().relative_to(root).parts
    except (ValueError, RuntimeError):  # RuntimeError: the links form a circle
        raise InputError("path", "must stay inside the worker's folder of files") from None
    if not parts:
        raise InputError("path", "must be a regular file, is the folder of files itself")
    try:
        descriptor = os.open(root, DIRECTORY)
    except OSError as error:
        raise FilesNotAvailable("the worker's folder of files cannot be opened") from error
    for part in parts[:-1]:
        descriptor = _open_in(descriptor, part, DIRECTORY | os.O_NOFOLLOW)
    descriptor = _open_in(descriptor, parts[-1], FILE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError("path", "must be a regular file")
    return descriptor


def _open_in(directory: int, name: str, flags: int) -> int:
    """Open `name` in an open directory, and close the directory. Raises InputError."""
    try:
        return os.open(name, flags, dir_fd=directory)
    except OSError as error:
        raise InputError("path", f"cannot be opened: {error.strerror}") from None
    finally:
        os.close(directory)


def describe(file: BinaryIO) -> dict[str, Any]:
    """The digest, size and lines of `file`, read from its current position."""
    digest = hashlib.sha256()
    size = lines = 0
    block = last = b""
    while block := file.read(BLOCK):
        digest.update(block)
        size += len(block)
        lines += block.count(b"\n")
        last = block
    if last and not last.endswith(b"\n"):
        lines += 1
    return {"hash": digest.hexdigest(), "size_bytes": size, "lines": lines}
