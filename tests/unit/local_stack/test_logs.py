"""`make logs` shows the last lines of the parts' logs, and then the new ones."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_stack.logs import LAST_BYTES, LAST_LINES, logs_of, show_logs
from local_stack.part import StackError


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_stack.logs.POLL", 0)


def times(count: int, meanwhile: Callable[[], object] = lambda: None) -> Callable[[], bool]:
    """Goes on for this many more rounds, and does something before each."""
    left: Iterator[int] = iter(range(count))

    def goes_on() -> bool:
        if next(left, None) is None:
            return False
        meanwhile()
        return True

    return goes_on


def shown(log: Path, goes_on: Callable[[], bool] | None = None) -> list[str]:
    lines: list[str] = []
    show_logs({"worker-1": log}, lines.append, goes_on or times(0))
    return lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "worker-1.log"
    path.write_text("")
    return path


@pytest.mark.parametrize("written", [0, 1, LAST_LINES, LAST_LINES + 1])
def test_the_last_lines_are_shown(log: Path, written: int) -> None:
    log.write_text("".join(f"line {number}\n" for number in range(written)))
    assert shown(log) == [f"line {number}" for number in range(written)][-LAST_LINES:]


def test_only_the_end_of_a_large_log_is_read(log: Path) -> None:
    log.write_text(f"{'x' * LAST_BYTES}\nlast\n")
    lines = shown(log)
    assert lines[-1] == "last"
    assert sum(map(len, lines)) < LAST_BYTES


def test_new_lines_are_shown_once_when_they_are_complete(log: Path) -> None:
    parts = iter(["be", "gin\n", "", "next\nand"])

    def write() -> None:
        with log.open("a") as file:
            file.write(next(parts))

    assert shown(log, times(4, write)) == ["begin", "next"]


def test_a_log_that_begins_anew_is_shown_from_its_begin(log: Path) -> None:
    log.write_text("of the time before\n")
    assert shown(log, times(1, lambda: log.write_text("new\n"))) == ["of the time before", "new"]


def test_bytes_that_are_no_text_do_not_end_it(log: Path) -> None:
    log.write_bytes(b"\xff\n")
    assert shown(log) == ["\ufffd"]


def test_lines_of_several_parts_begin_with_the_part(tmp_path: Path) -> None:
    for name in ("kafka-1", "worker-12"):
        (tmp_path / f"{name}.log").write_text("ready\n")
    lines: list[str] = []
    show_logs(logs_of(tmp_path), lines.append, times(0))
    assert lines == ["kafka-1   | ready", "worker-12 | ready"]


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("", ["api_server-1", "worker-1", "worker-2"]),
        ("worker", ["worker-1", "worker-2"]),
        ("worker-2", ["worker-2"]),
        ("api_server", ["api_server-1"]),
    ],
)
def test_a_part_is_chosen_by_its_name_with_or_without_number(
    tmp_path: Path, part: str, names: list[str]
) -> None:
    for name in ("api_server-1", "worker-1", "worker-2"):
        (tmp_path / f"{name}.log").write_text("")
    assert list(logs_of(tmp_path, part)) == names


def test_an_unknown_part_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"there are no logs in .* `make up`"):
        logs_of(tmp_path)
    (tmp_path / "kafka-1.log").write_text("")
    with pytest.raises(StackError, match="no part is named 'wrker'; there are: kafka-1"):
        logs_of(tmp_path, "wrker")
