"""Tests `file` with files of known content, and with every way to leave its folder."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker_service import InputError, Job
from worker_service.handlers import file as file_module
from worker_service.handlers.file import FilesNotAvailable, file_handler

OUTSIDE = "not for jobs"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "abc.txt").write_text("abc")
    (root / "sub" / "two.txt").write_text("one\ntwo\n")
    (tmp_path / "outside.txt").write_text(OUTSIDE)
    (tmp_path / "root-too").mkdir()
    (tmp_path / "root-too" / "file").write_text(OUTSIDE)
    return root


def run(root: Path, path: Any) -> dict[str, Any]:
    result = file_handler(root).function(Job("0", "file", 1, {"path": path}))
    assert isinstance(result, dict)
    return result


def test_hash_size_and_lines_describe_the_file(root: Path) -> None:
    # FIPS 180-4's example for "abc".
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert run(root, "abc.txt") == {"hash": digest, "size_bytes": 3, "lines": 1}


@pytest.mark.parametrize(
    ("content", "lines"),
    [(b"", 0), (b"\n", 1), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2), (b"a\r\nb\r", 2)],
)
def test_lines_count_line_feeds_and_an_unfinished_last_line(root: Path, content: bytes, lines: int) -> None:
    (root / "f").write_bytes(content)
    assert run(root, "f")["lines"] == lines


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.lists(st.sampled_from([b"\n", b"x", b"yy\n"])).map(b"".join), block=st.integers(1, 5))
def test_the_block_size_does_not_change_the_result(
    root: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, block: int
) -> None:
    (root / "f").write_bytes(content)
    whole = run(root, "f")
    with monkeypatch.context() as patch:
        patch.setattr(file_module, "BLOCK", block)
        assert run(root, "f") == whole
    assert whole["lines"] == len(content.splitlines())


@pytest.mark.parametrize(
    "path",
    ["abc.txt", "./abc.txt", "sub/../abc.txt", "//abc.txt", "sub/link", "sub/dirlink/abc.txt", "absolute"],
)
def test_any_path_to_a_file_inside_is_accepted(root: Path, path: str) -> None:
    (root / "sub" / "link").symlink_to("../abc.txt")
    (root / "sub" / "dirlink").symlink_to(root)
    path = str(root / "abc.txt") if path in ("absolute", "//abc.txt") else path
    assert run(root, path)["size_bytes"] == 3


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "sub/../../outside.txt",
        "../not-there",
        "../root-too/file",
        "/etc/passwd",
        "/etc/not-there",
        "link",
        "dirlink/outside.txt",
        "dangling",
        "chain",
        "loop",
        "..",
        "/",
    ],
)
def test_a_path_that_leaves_the_folder_is_refused_without_details(root: Path, path: str) -> None:
    (root / "link").symlink_to("../outside.txt")
    (root / "dirlink").symlink_to("..")
    (root / "dangling").symlink_to("../not-there")
    (root / "chain").symlink_to("link")
    (root / "loop").symlink_to("loop")
    with pytest.raises(InputError) as caught:
        run(root, path)
    assert str(caught.value) == "path: must stay inside the worker's folder of files"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("not-there", "cannot be opened: No such file or directory"),
        ("abc.txt/below", "cannot be opened: Not a directory"),
        ("x" * 300, "cannot be opened: File name too long"),
        ("sub", "must be a regular file"),
        ("", "must be a regular file, is the folder of files itself"),
        ("a\0b", "must not have a NUL character"),
        ("fifo", "must be a regular file"),
        (7, "must be a string, is a number"),
    ],
)
def test_a_path_to_anything_but_a_readable_file_is_refused_without_the_folder_s_name(
    root: Path, path: Any, problem: str
) -> None:
    os.mkfifo(root / "fifo")
    with pytest.raises(InputError) as caught:
        run(root, path)
    assert str(caught.value) == f"path: {problem}"


def test_a_device_is_refused() -> None:
    with pytest.raises(InputError, match="must be a regular file"):
        run(Path("/dev"), "zero")


@pytest.mark.parametrize("swapped", ["sub/two.txt", "sub"])
def test_a_link_that_appears_after_the_path_was_resolved_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    resolve = Path.resolve

    def resolve_and_swap(self: Path, strict: bool = False) -> Path:
        resolved = resolve(self, strict)
        if self.name == "two.txt":
            (root / swapped).rename(root / "moved")
            (root / swapped).symlink_to(root.parent / ("outside.txt" if swapped != "sub" else "root-too"))
        return resolved

    handler = file_handler(root)
    monkeypatch.setattr(Path, "resolve", resolve_and_swap)
    with pytest.raises(
        InputError, match=r"path: cannot be opened: (Too many levels of symbolic links|Not a directory)"
    ):
        handler.function(Job("0", "file", 1, {"path": "sub/two.txt"}))


def test_no_descriptor_stays_open(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("abc.txt", "sub/two.txt", "not-there", "sub", "abc.txt/x", "../outside.txt"):
        try:
            run(root, path)
        except InputError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_missing_folder_of_files_is_not_an_input_error_and_not_named(tmp_path: Path) -> None:
    with pytest.raises(FilesNotAvailable) as caught:
        run(tmp_path / "not-there", "x")
    assert str(tmp_path) not in str(caught.value)


MEASURE = """
import resource, sys
from pathlib import Path
from worker_service import Job
from worker_service.handlers.file import file_handler
handler = file_handler(Path(sys.argv[1])).function
handler(Job("0", "file", 1, {"path": "small"}))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = handler(Job("0", "file", 1, {"path": "large"}))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.stdout.write(f"{result['size_bytes']} {result['lines']} {after - before}")
"""


async def test_memory_does_not_grow_with_the_file(root: Path) -> None:
    size = 128 * 1024 * 1024
    (root / "small").write_bytes(b"x")
    with (root / "large").open("wb") as file:
        file.truncate(size)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", MEASURE, str(root)], capture_output=True, check=True
    )
    size_bytes, lines, grown_kib = map(int, done.stdout.split())
    assert (size_bytes, lines) == (size, 1)
    assert grown_kib < 16 * 1024
