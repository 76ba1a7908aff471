"""Where a client connects to, from arguments and from the environment."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from job_client import AsyncJobClient, JobClient
from job_client.connection import Address, connection, from_environment

SECRET = "s3cret"  # noqa: S105 - not a secret


@pytest.mark.parametrize(
    ("address", "jobs", "control"),
    [
        ("127.0.0.1:3000", Address("127.0.0.1:3000", False), Address("127.0.0.1:4000", False)),
        ("http://jobs.example", Address("jobs.example:80", False), Address("jobs.example:4000", False)),
        ("https://jobs.example/", Address("jobs.example:443", True), Address("jobs.example:4000", True)),
        ("https://[::1]:8443", Address("[::1]:8443", True), Address("[::1]:4000", True)),
    ],
)
def test_an_address_is_host_and_port_or_a_url(address: str, jobs: Address, control: Address) -> None:
    made = connection(address, None, None, None)
    assert (made.address, made.control) == (jobs, control)
    assert (made.credentials is not None) == jobs.is_secure


@pytest.mark.parametrize(
    "address",
    ["", "jobs.example", "ftp://a:1", "http://a:1/path", "a:0", "a:65536", "http://u@a:1", "a b:1", "::1:5"],
)
def test_a_wrong_address_is_refused_with_its_name(address: str) -> None:
    with pytest.raises(ValueError, match="control_address must"):
        connection("127.0.0.1:3000", address, None, None)


def test_the_environment_has_all_that_a_client_needs(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"")
    values = {
        "JOBS_URL": "https://jobs.example",
        "JOBS_CONTROL_URL": "https://jobs.example:4000",
        "JOBS_TOKEN": "t",
        "JOBS_CA_FILE": str(tmp_path / "ca.pem"),
    }
    arguments = from_environment(values)
    assert isinstance(arguments.pop("credentials"), grpc.ChannelCredentials)
    assert arguments == {
        "address": "https://jobs.example",
        "control_address": "https://jobs.example:4000",
        "token": "t",
    }
    assert from_environment({"JOBS_URL": ""}) == {"address": "127.0.0.1:3000"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [("JOBS_URL", "nowhere"), ("JOBS_CONTROL_URL", "x:y"), ("JOBS_CA_FILE", "/no/such/file")],
)
def test_a_wrong_variable_is_named(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{variable}"):
        from_environment({variable: value})


@pytest.mark.parametrize("kind", [JobClient, AsyncJobClient])
def test_a_token_with_a_line_end_is_refused_without_showing_it(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_TOKEN", "s3cret\n")
    with pytest.raises(ValueError, match="token must have printable ASCII") as caught:
        kind.from_env()
    assert "s3cret" not in str(caught.value)


def test_the_token_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    assert from_environment({"JOBS_TOKEN_FILE": str(file)})["token"] == SECRET


@pytest.mark.parametrize("content", [None, b"", b"s3cret line", b"s3cret\xff", b"s" * 4000])
def test_a_wrong_file_is_named_and_not_shown(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=r"^JOBS_TOKEN_FILE") as caught:
        from_environment({"JOBS_TOKEN_FILE": str(file)})
    assert "s3cret" not in str(caught.value)


def test_a_token_and_a_file_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="JOBS_TOKEN, JOBS_TOKEN_FILE: only one"):
        from_environment({"JOBS_TOKEN": "a", "JOBS_TOKEN_FILE": "/b"})


def test_the_text_of_a_connection_has_no_token() -> None:
    assert "s3cret" not in repr(connection("127.0.0.1:3000", None, "s3cret", None))
