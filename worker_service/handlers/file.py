"""Job type `file`: the digest and size of a file in the worker's folder of files.

Payload: `path`, relative to that folder, or absolute and inside it. Result: `hash`, the SHA-256 in hex; `size_bytes`;
`lines`, the number of line feeds, plus one if the last line has none.
Links may be followed as long as they stay inside the folder. The file is read in blocks, however large it is.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from worker_service.handler_api.handler import HandlerSpec
from worker_service.handler_api.job import InputError, Job
from worker_service.handlers.fields import text_field

BLOCK = 1024 * 1024
"""Bytes read at a time."""
MAX_PATH = 4096
"""Bytes; Linux opens no longer ones, and to resolve one costs the square of its length."""
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
"""O_NONBLOCK: to open a named pipe would wait for its writer."""


class FilesNotAvailable(RuntimeError):
    """The folder of files itself cannot be opened, whatever the path."""


def file_handler(root: Path) -> HandlerSpec:
    """The handler for files in the folder `root`."""
    resolved_root = root.resolve()

    def describe_file(job: Job) -> dict[str, Any]:
        descriptor = open_inside(resolved_root, text_field(job.payload, "path"))
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor has no path
            return describe(file)

    return HandlerSpec("file", describe_file, run_in="thread")


def open_inside(root: Path, path: str) -> int:
    """A descriptor of the regular file `path` inside `root`, which is resolved. Raises InputError, FilesNotAvailable.

    The path is resolved first, and then walked from the root without following links: a link that is put into its way
    in between is refused.
    """
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise InputError("path", f"must be at most {MAX_PATH} bytes, has {length}")
    if "\0" in path:
        raise InputError("path", "must not have a NUL character")
    try:
        parts = (root / path).resolve().relative_to(root).parts
    except (ValueError, RuntimeError):  # RuntimeError: links in a circle
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
    """Open `name` in an open directory, and close the directory."""
    try:
        return os.open(name, flags, dir_fd=directory)
    except OSError as error:
        raise InputError("path", f"cannot be opened: {error.strerror}") from None
    finally:
        os.close(directory)


def describe(file: BinaryIO) -> dict[str, Any]:
    """Digest, size and lines of what can be read from `file`."""
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
