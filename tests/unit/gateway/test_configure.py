"""The configuration made from envoy.yaml, checked by Envoy where Envoy can check it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway import configure, descriptor, web_pages, yaml_text
from gateway.configure import BASE_FILE, Ports, render, render_for_containers
from gateway.web_pages import ANY_PROGRAM, Callers

PORTS = Ports(jobs=13000, workers=14000)
API_SERVERS = [("127.0.0.1", 15051), ("127.0.0.1", 15052)]
WORKERS = [("worker.internal", 15151)]
CORS = "envoy.filters.http.cors"


@pytest.fixture(scope="module")
def descriptor_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gateway") / "jobs.binpb"
    assert descriptor.main([str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def config(descriptor_file: Path) -> dict[str, Any]:
    """What is rendered without further settings."""
    return rendered(descriptor_file)


@pytest.fixture(scope="module")
def open_config(descriptor_file: Path) -> dict[str, Any]:
    """What is rendered for callers from other hosts and other sites."""
    callers = Callers(["https://example.org", "http://localhost:8080"])
    return rendered(descriptor_file, listen_host="0.0.0.0", callers=callers)


def rendered(descriptor_file: Path, **changes: Any) -> dict[str, Any]:
    text = render(PORTS, API_SERVERS, WORKERS, descriptor_file, **changes)
    config: dict[str, Any] = yaml_text.load(text)
    return config


def managers(config: dict[str, Any]) -> list[dict[str, Any]]:
    listeners = config["static_resources"]["listeners"]
    return [listener["filter_chains"][0]["filters"][-1]["typed_config"] for listener in listeners]


def envoy_accepts(path: Path) -> str:
    """Envoy's error messages; empty if it accepts the file."""
    run = subprocess.run(
        [Path(sys.executable).parent / "envoy", "--mode", "validate", "--log-level", "warning", "-c", path],
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stderr if run.returncode or "[warning]" in run.stderr else ""


@pytest.mark.parametrize(
    "callers",
    [
        ANY_PROGRAM,
        Callers(["https://example.org"], ["jobs.example.org", "*.svc.cluster.local", "[2001:db8::7]"]),
        Callers(["*"], ["*"]),
    ],
)
def test_envoy_accepts_what_is_rendered(descriptor_file: Path, tmp_path: Path, callers: Callers) -> None:
    file = tmp_path / "envoy.yaml"
    file.write_text(render(PORTS, API_SERVERS, WORKERS, descriptor_file, callers))

    assert envoy_accepts(file) == ""


def test_envoy_accepts_the_file_for_containers(descriptor_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "envoy.yaml"
    file.write_text(BASE_FILE.read_text().replace("/etc/envoy/jobs.binpb", str(descriptor_file)))

    assert envoy_accepts(file) == ""


def test_ports_are_set_and_listen_on_loopback(config: dict[str, Any]) -> None:
    listeners = config["static_resources"]["listeners"]
    assert [listener["address"]["socket_address"] for listener in listeners] == [
        {"address": "127.0.0.1", "port_value": 13000},
        {"address": "127.0.0.1", "port_value": 14000},
    ]


def test_the_listening_host_is_a_setting(open_config: dict[str, Any]) -> None:
    listeners = open_config["static_resources"]["listeners"]
    assert {listener["address"]["socket_address"]["address"] for listener in listeners} == {"0.0.0.0"}


def test_no_port_leads_to_the_admin_pages(descriptor_file: Path) -> None:
    text = render(Ports(13000, 14000, Path("/run/admin.sock")), API_SERVERS, WORKERS, descriptor_file)
    base = yaml_text.load(BASE_FILE.read_text())

    assert yaml_text.load(text)["admin"] == {"address": {"pipe": {"path": "/run/admin.sock", "mode": 0o600}}}
    assert base["admin"] == {"address": {"pipe": {"path": "/tmp/envoy-admin.sock", "mode": 0o600}}}  # noqa: S108 - the container's
    assert "admin" not in rendered(descriptor_file)


def test_every_server_becomes_an_endpoint(config: dict[str, Any]) -> None:
    api_server, worker_service, _dashboard = config["static_resources"]["clusters"]

    endpoints = api_server["load_assignment"]["endpoints"][0]["lb_endpoints"]
    addresses = [each["endpoint"]["address"]["socket_address"] for each in endpoints]
    assert addresses == [{"address": host, "port_value": port} for host, port in API_SERVERS]
    assert (api_server["type"], "cluster_type" in api_server) == ("STATIC", False)
    assert worker_service["cluster_type"]["name"] == "envoy.clusters.dns"


def test_an_empty_list_of_servers_is_refused(descriptor_file: Path) -> None:
    with pytest.raises(ValueError, match="cluster worker_service: at least one server address is needed"):
        render(PORTS, API_SERVERS, [], descriptor_file)


def test_both_listeners_transcode_with_the_given_descriptor(
    config: dict[str, Any], descriptor_file: Path
) -> None:
    transcoders = [
        each["typed_config"]
        for manager in managers(config)
        for each in manager["http_filters"]
        if each["name"] == "envoy.filters.http.grpc_json_transcoder"
    ]

    assert [each["services"] for each in transcoders] == [
        ["jobs.v1.rest.JobService"],
        ["jobs.v1.rest.WorkerService"],
    ]
    assert {each["proto_descriptor"] for each in transcoders} == {str(descriptor_file)}


def test_no_origin_is_allowed_by_default(descriptor_file: Path) -> None:
    assert "CorsPolicy" not in render(PORTS, API_SERVERS, WORKERS, descriptor_file)
    assert "CorsPolicy" not in render_for_containers(ANY_PROGRAM)


def test_listed_origins_are_allowed_on_both_listeners(open_config: dict[str, Any]) -> None:
    for manager in managers(open_config):
        host, other_hosts = manager["route_config"]["virtual_hosts"]
        assert "typed_per_filter_config" not in other_hosts
        assert 'local origins = {["https://example.org"] = true, ["http://localhost:8080"] = true}' in source(
            manager
        )
        assert host["typed_per_filter_config"][CORS]["allow_origin_string_match"] == [
            {"exact": "https://example.org"},
            {"exact": "http://localhost:8080"},
        ]


@pytest.mark.parametrize(
    "origin", ["example.org", "https://example.org/", "https://", "https://*.org", "null", 'https://a"] = b']
)
def test_an_invalid_origin_is_named_in_the_error(descriptor_file: Path, origin: str) -> None:
    with pytest.raises(ValueError, match="GATEWAY_CORS_ORIGINS") as error:
        render(PORTS, API_SERVERS, WORKERS, descriptor_file, Callers([origin]))
    assert repr(origin) in str(error.value)


def source(manager: dict[str, Any]) -> str:
    """The source of the filter that knows the origins."""
    [text] = [
        each["typed_config"]["default_source_code"]["inline_string"]
        for each in manager["http_filters"]
        if each["name"] == "web_pages"
    ]
    return str(text)


def test_no_other_origin_is_known_by_default(descriptor_file: Path) -> None:
    for manager in managers(rendered(descriptor_file)):
        assert source(manager).startswith(web_pages.NO_ORIGINS)


def test_listed_hosts_are_served_besides_the_machines_own_names(descriptor_file: Path) -> None:
    config = rendered(descriptor_file, callers=Callers(hosts=["Jobs.Example.org", "*.test", "localhost"]))

    for manager in managers(config):
        host, other_hosts = manager["route_config"]["virtual_hosts"]
        own = ["localhost", "127.0.0.1", "[::1]", "gateway"]
        assert host["domains"] == [*own, "jobs.example.org", "*.test"]
        assert other_hosts["domains"] == ["*"]


def test_a_star_allows_every_host(descriptor_file: Path) -> None:
    for manager in managers(rendered(descriptor_file, callers=Callers(hosts=["a.example", "*"]))):
        [host] = manager["route_config"]["virtual_hosts"]
        assert host["domains"] == ["*"]


@pytest.mark.parametrize("host", ["a.example:3000", "http://a.example", "a.*", "*a.example", "a b", ".a", ""])
def test_an_invalid_host_is_named_in_the_error(descriptor_file: Path, host: str) -> None:
    with pytest.raises(ValueError, match="GATEWAY_HOSTS") as error:
        render(PORTS, API_SERVERS, WORKERS, descriptor_file, Callers(hosts=[host]))
    assert repr(host) in str(error.value)


def test_the_command_writes_the_file_for_containers_with_the_origins_of_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_CORS_ORIGINS", "https://a.example, https://b.example")
    monkeypatch.setenv("GATEWAY_DASHBOARD", "off")
    file = tmp_path / "envoy.yaml"

    assert configure.main([str(file)]) == 0

    written = yaml_text.load(file.read_text())
    remove_files(written)
    for manager in managers(written):
        host = manager["route_config"]["virtual_hosts"][0]
        policy = host.pop("typed_per_filter_config")[CORS]
        assert {"etag", "location", "request-id"} <= set(policy["expose_headers"].split(", "))
        assert {"if-none-match", "request-id", "x-grpc-web"} <= set(policy["allow_headers"].split(", "))
        assert policy["allow_methods"] == "GET, HEAD, POST, PATCH, DELETE"
        assert [each["exact"] for each in policy["allow_origin_string_match"]] == [
            "https://a.example",
            "https://b.example",
        ]
    assert without_callers(written) == without_callers(yaml_text.load(BASE_FILE.read_text()))


def without_callers(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without the list of origins, whose tests are above."""
    for manager in managers(config):
        for each in manager["http_filters"]:
            if each["name"] == "web_pages":
                # Both listeners have the same filter in the base file.
                each["typed_config"].pop("default_source_code", None)
    return config


def remove_files(config: dict[str, Any]) -> None:
    """Remove the routes of files, of which the base file has none."""
    routes = managers(config)[0]["route_config"]
    host = routes["virtual_hosts"][0]
    names = [route["name"] for route in host["routes"]]
    begin = names.index("rest_jobs")
    paths = {route["match"].get("path") for route in host["routes"][begin:-1]}
    assert {"/api", "/api/", "/api/rapidoc.min.js"} <= paths
    # They stand just before the last route, which takes all that is left.
    del host["routes"][begin:-1]
    assert routes.pop("max_direct_response_body_size_bytes") > 500_000


def test_the_command_ends_with_status_2_on_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_CORS_ORIGINS", "nowhere")

    assert configure.main([str(tmp_path / "envoy.yaml")]) == 2
    assert "GATEWAY_CORS_ORIGINS: 'nowhere' is not allowed" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def addresses(config: dict[str, Any], cluster: int) -> list[tuple[str, int]]:
    endpoints = config["static_resources"]["clusters"][cluster]["load_assignment"]["endpoints"][0][
        "lb_endpoints"
    ]
    found = [each["endpoint"]["address"]["socket_address"] for each in endpoints]
    return [(address["address"], address["port_value"]) for address in found]


def test_the_command_lists_a_port_for_each_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_SERVER_PROCESSES", "3")
    monkeypatch.setenv("WORKER_COUNT", "64")
    file = tmp_path / "envoy.yaml"

    assert configure.main([str(file)]) == 0

    config = yaml_text.load(file.read_text())
    assert addresses(config, 0) == [("api-server", 50051 + n) for n in range(3)]
    assert addresses(config, 1) == [("worker-service", 50151 + n) for n in range(64)]
    for cluster in config["static_resources"]["clusters"][:2]:
        assert cluster["cluster_type"]["name"] == "envoy.clusters.dns"


@pytest.mark.parametrize("variable", ["API_SERVER_PROCESSES", "WORKER_COUNT"])
@pytest.mark.parametrize("value", ["0", "65", "-1", "two", "\u0663"])
def test_the_command_ends_with_status_2_on_a_wrong_number_of_processes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
) -> None:
    monkeypatch.setenv(variable, value)

    assert configure.main([str(tmp_path / "envoy.yaml")]) == 2
    assert f"{variable}: {value!r} is not allowed: must be from 1 to 64" in capsys.readouterr().err


def test_the_descriptor_set_has_every_file_once_and_after_its_imports() -> None:
    files = FileDescriptorSet.FromString(descriptor.descriptor_set()).file

    names = [file.name for file in files]
    assert len(set(names)) == len(names)
    for place, file in enumerate(files):
        assert set(file.dependency) <= set(names[:place]), file.name
    assert {
        "jobs/v1/job_service.proto",
        "jobs/v1/worker_service.proto",
        "google/rpc/error_details.proto",
    } <= set(names)
