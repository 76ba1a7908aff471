"""The worker's token, from one of two variables. No message shows it."""

from pathlib import Path

import pytest

from contract_runtime.credentials import MAX_TOKEN, WrongToken, bearer, checked_token
from service_runtime.settings import WrongSettings, read_settings
from worker_service.settings import WorkerSettings


def test_without_a_variable_there_is_none() -> None:
    assert WorkerSettings().token() == ""
    assert bearer("") == ()


def test_the_token_is_in_the_variable_or_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    with monkeypatch.context() as patch:
        patch.setenv("WORKER_TOKEN_FILE", str(file))
        assert WorkerSettings().token() == "s3cret"
    monkeypatch.setenv("WORKER_TOKEN", "s3cret")
    settings = WorkerSettings()
    assert settings.token() == "s3cret"
    assert "s3cret" not in repr(settings)


def test_both_contradict_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_TOKEN", "s3cret")
    monkeypatch.setenv("WORKER_TOKEN_FILE", "/a")
    with pytest.raises(WrongSettings, match="only one of them must be set") as caught:
        read_settings(WorkerSettings)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "s3cret line", "s3cr\u00e9t", "s" * (MAX_TOKEN + 1)])
def test_a_token_that_no_server_takes_is_not_shown(text: str) -> None:
    with pytest.raises(WrongToken, match=r"^WORKER_TOKEN: a token has 1 to") as caught:
        checked_token(text, "WORKER_TOKEN")
    assert "s3cr" not in str(caught.value)


def test_the_longest_token_is_taken() -> None:
    assert checked_token("s" * MAX_TOKEN, "WORKER_TOKEN") == "s" * MAX_TOKEN
