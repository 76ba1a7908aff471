"""Variables that look like settings and are none."""

import pytest
from structlog.testing import capture_logs

from api_server.settings import ApiServerSettings
from service_runtime.settings import load_settings, variables, warn_of_mistyped_settings
from service_runtime.unknown_settings import mistyped, unserved
from worker_service.settings import WorkerSettings

API_SERVER, WORKER = variables(ApiServerSettings), variables(WorkerSettings)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MONGODB_URL", "MONGODB_URI"),
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("JOB_RETENTIONS", "JOB_RETENTION"),
        ("API_SERVER_PROCESES", "API_SERVER_PROCESSES"),
    ],
)
def test_a_mistyped_setting_is_found_with_the_setting_that_is_meant(name: str, meant: str) -> None:
    assert mistyped(["PATH", name], API_SERVER) == {name: meant}


@pytest.mark.parametrize("known", [API_SERVER, WORKER], ids=["api server", "worker"])
def test_variables_of_others_are_left_alone(known: set[str]) -> None:
    others = [
        "MONGODB_SERVICE_HOST",
        "MONGODB_PORT_27017_TCP_ADDR",
        "KAFKA_HEAP_OPTS",
        "KAFKA_ADVERTISED_LISTENERS",
        "MONGODB_PASSWORD",
        "WORKER_MEMORY",
        "LC_ALL",
        *(API_SERVER | WORKER),
    ]

    assert mistyped(others, known) == {}
    assert unserved(others, known) == []


@pytest.mark.parametrize(
    "name", ["KAFKA_SASL_MECHANISM", "KAFKA_SSL_CAFILE", "KAFKA_SECURITY_PROTOCOL", "KAFKA_TLS_ENABLED"]
)
def test_a_protection_that_the_service_does_not_have_ends_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "secret-value")

    with pytest.raises(SystemExit) as caught:
        load_settings(ApiServerSettings)

    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said == f"{name}: is not a setting: connections to Kafka are plain text\n"


def test_a_protection_that_is_a_setting_is_served() -> None:
    assert unserved(["KAFKA_SECURITY_PROTOCOL"], {"KAFKA_SECURITY_PROTOCOL"}) == []


def test_the_warning_shows_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URL", "secret-value")
    with capture_logs() as logs:
        warn_of_mistyped_settings(ApiServerSettings)

    assert logs == [
        {
            "event": "unknown_setting",
            "variable": "MONGODB_URL",
            "perhaps": "MONGODB_URI",
            "log_level": "warning",
        }
    ]
