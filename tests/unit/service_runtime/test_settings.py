"""An error for a wrong setting names the variable, its value and what is allowed. The exit status is 2."""

import pytest

from api_server.domain.retention import KEEP_ALL, Retention
from api_server.settings import ApiServerSettings
from service_runtime.settings import ServiceSettings, WrongSettings, load_settings, read_settings
from worker_service.settings import WorkerSettings


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "API_SERVER_PORT",
            "70000",
            "API_SERVER_PORT: '70000' is not allowed: Input should be less than or equal to 65535",
        ),
        (
            "API_SERVER_PORT",
            "http",
            "API_SERVER_PORT: 'http' is not allowed: Input should be a valid integer",
        ),
        ("JOB_TYPES", "compute,Bad Type", "JOB_TYPES: 'Bad Type' is not allowed"),
        ("JOB_TYPES", "compute,compute", "each once"),
        ("JOB_NOTIFY", "a.example", "JOB_NOTIFY: 'a.example' is not allowed: 'a.example' must be never or"),
        ("JOB_TYPES", "compute,**", "JOB_TYPES: '**' is not allowed"),
        (
            "KAFKA_PARTITIONS",
            "0",
            "KAFKA_PARTITIONS: '0' is not allowed: Input should be greater than or equal to 1",
        ),
        (
            "KAFKA_MIN_INSYNC_REPLICAS",
            "2",
            (
                "KAFKA_MIN_INSYNC_REPLICAS: 2 is not allowed: "
                "must be at most KAFKA_REPLICATION_FACTOR, which is 1"
            ),
        ),
        (
            "KAFKA_MIN_INSYNC_REPLICAS",
            "0",
            "KAFKA_MIN_INSYNC_REPLICAS: '0' is not allowed: Input should be greater than or equal to 1",
        ),
        ("KAFKA_BOOTSTRAP_SERVERS", "nonsense", "KAFKA_BOOTSTRAP_SERVERS: 'nonsense' is not allowed"),
        (
            "API_SERVER_PROCESSES",
            "0",
            "API_SERVER_PROCESSES: '0' is not allowed: Input should be greater than or equal to 1",
        ),
        (
            "API_SERVER_PROCESSES",
            "65",
            "API_SERVER_PROCESSES: '65' is not allowed: Input should be less than or equal to 64",
        ),
        (
            "LOG_FORMAT",
            "xml",
            "LOG_FORMAT: 'xml' is not allowed: Input should be 'auto', 'json' or 'console'",
        ),
        (
            "JOB_RETENTION",
            "0",
            "JOB_RETENTION: '0' is not allowed: '0' must be from 1 to 2147483647 seconds",
        ),
        (
            "JOB_RETENTION",
            "7d,1d",
            "JOB_RETENTION: '7d,1d' is not allowed: must have at most one time without a type",
        ),
        (
            "JOB_RETENTION",
            "compute=soon",
            "JOB_RETENTION: 'compute=soon' is not allowed: 'soon' is not a time: must be a whole number",
        ),
        (
            "SHUTDOWN_DELAY",
            "-1",
            "SHUTDOWN_DELAY: '-1' is not allowed: Input should be greater than or equal to 0",
        ),
        (
            "SHUTDOWN_DELAY",
            "3601",
            "SHUTDOWN_DELAY: '3601' is not allowed: Input should be less than or equal to 3600",
        ),
        (
            "JOB_LEASE",
            "2",
            "HEARTBEAT_INTERVAL: 1 is not allowed: must be at most a sixth of JOB_LEASE, which is 2",
        ),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(WrongSettings) as caught:
        read_settings(ApiServerSettings)
    assert message in str(caught.value)


def test_jobs_are_kept_for_ever_unless_the_setting_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings(ApiServerSettings).job_retention == KEEP_ALL
    monkeypatch.setenv("JOB_RETENTION", "604800")
    assert read_settings(ApiServerSettings).job_retention == Retention(604_800)
    monkeypatch.setenv("JOB_RETENTION", "7d,compute=1d")
    assert read_settings(ApiServerSettings).job_retention == Retention(604_800, {"compute": 86_400})


@pytest.mark.parametrize(("value", "expected"), [("1", 1), ("1000000", 1_000_000), (None, None)])
def test_process_jobs_within_the_limits_are_accepted(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: int | None
) -> None:
    if value is not None:
        monkeypatch.setenv("WORKER_PROCESS_JOBS", value)
    assert read_settings(WorkerSettings).worker_process_jobs == expected


@pytest.mark.parametrize(
    ("value", "allowed"), [("0.009", False), ("0.01", True), ("2", True), ("2.1", False)]
)
def test_kafka_holds_a_fetch_for_ten_milliseconds_to_two_seconds(
    monkeypatch: pytest.MonkeyPatch, value: str, allowed: bool
) -> None:
    monkeypatch.setenv("KAFKA_FETCH_MAX_WAIT", value)
    if allowed:
        assert read_settings(WorkerSettings).kafka_fetch_max_wait == float(value)
    else:
        with pytest.raises(WrongSettings, match=f"KAFKA_FETCH_MAX_WAIT: '{value}' is not allowed"):
            read_settings(WorkerSettings)


@pytest.mark.parametrize("value", ["0", "1000001", "many"])
def test_process_jobs_beyond_the_limits_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("WORKER_PROCESS_JOBS", value)
    with pytest.raises(WrongSettings, match=f"WORKER_PROCESS_JOBS: '{value}' is not allowed"):
        read_settings(WorkerSettings)


def test_wrong_settings_end_the_process_with_status_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_SERVER_PORT", "0")
    with pytest.raises(SystemExit) as caught:
        load_settings(ApiServerSettings)
    assert caught.value.code == 2
    assert "API_SERVER_PORT" in capsys.readouterr().err


def test_the_last_process_needs_a_port_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_SERVER_PROCESSES", "3")
    monkeypatch.setenv("API_SERVER_PORT", "65533")
    settings = read_settings(ApiServerSettings)
    assert [settings.of_process(number).api_server_port for number in (1, 2, 3)] == [65533, 65534, 65535]
    monkeypatch.setenv("API_SERVER_PORT", "65534")
    with pytest.raises(WrongSettings, match=r"^API_SERVER_PROCESSES: 3 .* API_SERVER_PORT is 65534"):
        read_settings(ApiServerSettings)


@pytest.mark.parametrize("seconds", ["0", "3600"])
def test_the_shutdown_delay_may_be_up_to_an_hour(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("SHUTDOWN_DELAY", seconds)
    assert read_settings(ApiServerSettings).shutdown_delay == float(seconds)


def test_a_list_is_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_TYPES", "compute, thumbnail")
    assert read_settings(ApiServerSettings).job_types == ("compute", "thumbnail")


@pytest.mark.parametrize("value", ["*", "compute,*"])
def test_job_types_may_have_a_star(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("JOB_TYPES", value)
    assert read_settings(ApiServerSettings).job_types == tuple(value.split(","))


@pytest.mark.parametrize(
    ("settings", "variable"), [(ApiServerSettings, "API_SERVER_HOST"), (WorkerSettings, "WORKER_HOST")]
)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "10.0.0.1", "web", "127.0.0.1.example"])
def test_without_tokens_a_service_listens_on_loopback_only(
    monkeypatch: pytest.MonkeyPatch, settings: type[ServiceSettings], variable: str, host: str
) -> None:
    monkeypatch.setenv(variable, host)
    with pytest.raises(WrongSettings, match=rf"none is not allowed while {variable} is .*AUTH_MODE=tokens"):
        read_settings(settings)
    monkeypatch.setenv("AUTH_TOKENS_FILE", "tokens.jsonl")
    for mode in ("tokens", "open"):
        monkeypatch.setenv("AUTH_MODE", mode)
        assert not read_settings(settings).has_reflection


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_tokens(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("API_SERVER_HOST", host)
    assert read_settings(ApiServerSettings).has_reflection


def test_tokens_need_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_MODE", "tokens")
    with pytest.raises(WrongSettings, match="AUTH_TOKENS_FILE: must be set with AUTH_MODE=tokens"):
        read_settings(ApiServerSettings)


def test_reflection_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_MODE", "tokens")
    monkeypatch.setenv("GRPC_REFLECTION", "on")
    assert read_settings(WorkerSettings).has_reflection
    monkeypatch.setenv("GRPC_REFLECTION", "off")
    monkeypatch.setenv("AUTH_MODE", "none")
    assert not read_settings(WorkerSettings).has_reflection
