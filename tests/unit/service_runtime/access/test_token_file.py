"""A change of the file counts within a second; while the file is wrong, its last good state counts."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contract_runtime.roles import Role
from service_runtime.access.principal import Principal
from service_runtime.access.token_file import CHECK_SECONDS, MAX_BYTES, TokenFile, append_line, read_tokens
from service_runtime.access.tokens import WrongTokens, added_line, new_token, revoked_line

ANN = Principal("ann", Role.READER)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.jsonl"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def add(path: Path) -> str:
    token, stored = new_token(lambda _: ANN, datetime.now(UTC), None)
    append_line(path, added_line(stored))
    return token


def loaded(path: Path, clock: Clock) -> TokenFile:
    file = TokenFile(path, clock)
    file.load()
    return file


def test_a_new_file_is_for_its_owner_only(path: Path) -> None:
    add(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_is_added_also_after_a_line_without_an_end(path: Path) -> None:
    add(path)
    path.write_text(path.read_text().rstrip("\n"))
    add(path)
    assert len(read_tokens(path)) == 2


def test_a_change_counts_after_a_second(path: Path, clock: Clock) -> None:
    first = add(path)
    file = loaded(path, clock)
    second = add(path)
    assert file.principal_of(first) == ANN
    assert file.principal_of(second) is None
    clock.now += CHECK_SECONDS
    assert file.principal_of(second) == ANN


def test_a_revoked_token_ends(path: Path, clock: Clock) -> None:
    token = add(path)
    file = loaded(path, clock)
    append_line(path, revoked_line(token.split("_")[1], datetime.now(UTC)))
    clock.now += CHECK_SECONDS
    assert file.principal_of(token) is None


@pytest.mark.parametrize("wrong", ["text\n", "\ud800", None, "x" * (MAX_BYTES + 1)])
def test_while_the_file_is_wrong_its_last_good_state_counts(
    path: Path, clock: Clock, wrong: str | None
) -> None:
    token = add(path)
    good = path.read_bytes()
    file = loaded(path, clock)
    if wrong is None:
        path.unlink()
    else:
        path.write_bytes(wrong.encode(errors="surrogatepass"))
    with capture_logs() as lines:
        for _ in range(3):
            clock.now += CHECK_SECONDS
            assert file.principal_of(token) == ANN
    assert [line["event"] for line in lines] == ["tokens_not_read"]
    path.write_bytes(good)
    other = add(path)
    clock.now += CHECK_SECONDS
    assert file.principal_of(other) == ANN


def test_a_file_that_is_put_back_as_it_was_counts_again(path: Path, clock: Clock) -> None:
    token = add(path)
    file = loaded(path, clock)
    aside = path.rename(path.with_suffix(".aside"))
    clock.now += CHECK_SECONDS
    with capture_logs():
        file.principal_of(token)
    aside.rename(path)
    clock.now += CHECK_SECONDS
    with capture_logs() as lines:
        assert file.principal_of(token) == ANN
    assert [line["event"] for line in lines] == ["tokens_read"]


@pytest.mark.parametrize("content", [None, "text"])
def test_the_first_load_says_what_is_wrong(path: Path, content: str | None) -> None:
    if content is not None:
        path.write_text(content)
    with pytest.raises(WrongTokens, match=r"cannot be read: No such file|line 1 is not a token"):
        TokenFile(path).load()


def test_a_file_of_the_largest_size_is_read(path: Path) -> None:
    add(path)
    with path.open("ab") as file:
        file.write(b"\n" * (MAX_BYTES - os.fstat(file.fileno()).st_size))
    assert len(read_tokens(path)) == 1


def test_no_line_makes_the_file_larger_than_servers_read(path: Path) -> None:
    path.write_bytes(b"\n" * (MAX_BYTES - 3))
    append_line(path, "{}")
    assert path.stat().st_size == MAX_BYTES
    with pytest.raises(OSError, match="the file is full"):
        append_line(path, "")
