"""`python -m api_server tokens`: what it prints, what it writes, and what it refuses."""

import stat
from pathlib import Path

import pytest

from api_server.tokens_command import main
from contract_runtime.credentials import TOKEN
from contract_runtime.roles import Role
from service_runtime.access.principal import Principal
from service_runtime.access.token_file import TokenFile, read_tokens


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tokens.jsonl"
    monkeypatch.setenv("AUTH_TOKENS_FILE", str(path))
    return path


def test_a_new_token_is_printed_alone_and_works(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["new", "--role", "worker", "--types", "data,file", "--name", "w", "--expires", "90d"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    token = printed.out.rstrip("\n")
    assert TOKEN.fullmatch(token)
    assert "role worker; it expires at" in printed.err
    assert token not in printed.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file = TokenFile(path)
    file.load()
    assert file.principal_of(token) == Principal("w", Role.WORKER, frozenset({"data", "file"}))


def test_without_a_name_the_principal_is_the_token_id(path: Path) -> None:
    assert main(["new", "--role", "reader"]) == 0
    [stored] = read_tokens(path).values()
    assert stored.principal.name == stored.id


def test_list_and_revoke(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["new", "--role", "operator", "--name", "ops"])
    token = capsys.readouterr().out.strip()
    [token_id] = read_tokens(path)
    assert main(["revoke", token_id]) == 0
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert listed.split() == [token_id, "operator", "revoked", "expires", "never", "ops", "all", "types"]
    assert token.rpartition("_")[2] not in listed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("new --role reader --types data", "--types: goes with --role worker only"),
        ("new --role worker --types Data", "--types: 'Data' is not a job type"),
        ("new --role reader --name a/b", "--name: must be 1 to 64 of"),
        ("new --role reader --expires 3661d", "--expires: '3661d' is not allowed"),
        ("new --role reader --expires 0d", "--expires: '0d' is not allowed"),
        ("new --role reader --expires soon", "--expires: 'soon' is not allowed"),
        ("revoke 0123", "there is no token '0123'"),
        ("list", "cannot be read: No such file"),
        ("--file / new --role reader", "AUTH_TOKENS_FILE: /: it cannot be read"),
        ("--file /absent/file new --role reader", "AUTH_TOKENS_FILE: /absent/file: No such file"),
    ],
)
def test_what_is_refused(
    path: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    if arguments.startswith("revoke"):
        main(["new", "--role", "reader"])
    assert main(arguments.split()) == 2
    assert message in capsys.readouterr().err
    assert arguments.startswith("revoke") or not path.exists()


def test_the_longest_lifetime_is_allowed() -> None:
    assert main(["new", "--role", "reader", "--expires", "3660d"]) == 0


def test_nothing_is_added_to_a_broken_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text("text\n")
    assert main(["new", "--role", "reader"]) == 2
    assert "line 1 is not a token" in capsys.readouterr().err
    assert path.read_text() == "text\n"


def test_the_file_must_be_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("AUTH_TOKENS_FILE")
    assert main(["list"]) == 2
    assert "must name the file" in capsys.readouterr().err
