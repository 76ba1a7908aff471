"""The worker's settings: a wrong one names its variable and its rule."""

import pytest

from service_runtime.settings import WrongSettings, read_settings
from worker_service.settings import WorkerSettings


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("WORKER_JOB_TYPES", "compute,No", "'No' is not allowed"),
        ("WORKER_JOB_TYPES", ",".join(f"type-{number}" for number in range(257)), "at most 256 items"),
        ("WORKER_JOB_TYPES", ",", "must name at least one job type"),
        ("WORKER_JOB_TYPES", "*", "'*' is not allowed"),
        ("API_SERVER_ADDRESS", "api:50051,nowhere", "'nowhere' is not host:port"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:0", "'kafka:0' is not host:port with a port from 1 to 65535"),
        ("WORKER_CONCURRENCY", "0", "greater than or equal to 1"),
        ("WORKER_DRAIN_TIMEOUT", "nan", "finite"),
        ("WORKER_NAME", "a/b", "match pattern"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8,10.0.0.1/8", "'10.0.0.1/8' is not allowed"),
        ("WEBHOOK_ALLOWED_NETWORKS", "localhost", "not a valid IPv4 network"),
        ("WORKER_COUNT", "0", "greater than or equal to 1"),
        ("WORKER_COUNT", "65", "less than or equal to 64"),
    ],
)
def test_a_wrong_setting_names_variable_and_rule(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(WrongSettings) as caught:
        read_settings(WorkerSettings)

    assert str(caught.value).startswith(f"{variable}: ")
    assert expected in str(caught.value)


def test_several_addresses_are_read_from_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_SERVER_ADDRESS", "10.0.0.1:50051, [::1]:50052,api-server:50053")

    settings = read_settings(WorkerSettings)

    assert settings.api_server_address == ("10.0.0.1:50051", "[::1]:50052", "api-server:50053")


def test_each_of_several_workers_has_a_port_and_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_COUNT", "10")
    monkeypatch.setenv("WORKER_PORT", "65526")
    monkeypatch.setenv("WORKER_NAME", "w" * 125)

    own = read_settings(WorkerSettings).of_process(10)

    assert (own.worker_port, own.worker_name) == (65535, "w" * 125 + "-10")


@pytest.mark.parametrize(
    ("variable", "value"), [("WORKER_PORT", "65527"), ("WORKER_NAME", "w" * 126)], ids=["port", "name"]
)
def test_several_workers_that_cannot_all_have_a_port_and_a_name_are_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("WORKER_COUNT", "10")
    monkeypatch.setenv(variable, value)

    with pytest.raises(WrongSettings, match=variable):
        read_settings(WorkerSettings)


def test_several_workers_without_a_name_choose_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_COUNT", "2")

    assert read_settings(WorkerSettings).of_process(2).worker_name is None


def test_each_process_of_each_api_server_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_SERVER_ADDRESS", "a:50051,[::1]:65534,a:50052")
    monkeypatch.setenv("API_SERVER_PROCESSES", "2")

    endpoints = read_settings(WorkerSettings).api_server_endpoints

    assert endpoints == ("a:50051", "[::1]:65534", "a:50052", "[::1]:65535", "a:50053")
    monkeypatch.setenv("API_SERVER_PROCESSES", "3")
    with pytest.raises(WrongSettings, match="API_SERVER_PROCESSES"):
        read_settings(WorkerSettings)


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a public example


@pytest.mark.parametrize(
    ("value", "problem"),
    [(f"{SECRET},whsec_c2hvcnQ=", "24 to 64"), (",".join([SECRET] * 5), "at most 4 secrets")],
)
def test_a_wrong_secret_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str, problem: str
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", value)
    with pytest.raises(WrongSettings, match=problem) as caught:
        read_settings(WorkerSettings)
    assert str(caught.value).startswith("WEBHOOK_SECRET: ")
    assert not any(each in str(caught.value) for each in ("MfKQ9r8", "c2hvcnQ"))


def test_settings_do_not_show_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", ",".join([SECRET] * 4))
    settings = read_settings(WorkerSettings)
    assert len(settings.webhook_keys) == 4
    assert "MfKQ9r8" not in f"{settings} {settings!r}"
