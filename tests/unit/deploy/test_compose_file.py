"""What docker-compose.yml lets containers do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
KAFKA_ON_HOST: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kafka-on-host.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FIXED_IN = (8, 0, 23)
"""CVE-2025-14847 was fixed in 8.0.17, CVE-2026-8053 in 8.0.23."""

each_service = pytest.mark.parametrize("name", SERVICES)


@each_service
def test_a_container_cannot_write_to_its_image_or_gain_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"cap_add", "privileged", "network_mode", "pid", "ipc", "devices"}


@each_service
def test_memory_processes_and_logs_of_a_container_are_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert 0 < service["pids_limit"] <= 16384
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert all(":size=" in folder for folder in service.get("tmpfs", []))


@each_service
def test_no_container_runs_as_root(name: str) -> None:
    service = SERVICES[name]
    if "build" not in service:
        assert int(service["user"].partition(":")[0]) > 0
        return
    text = (ROOT / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM|\Z)", text, re.MULTILINE | re.DOTALL))
    # The stages of the services start from `service`, which sets the user.
    stage = "gateway" if service["build"]["target"] == "gateway" else "service"
    assert re.findall(r"^USER (\S+)$", stages[stage], re.MULTILINE)[-1] in {"service", "envoy"}


def test_only_the_api_servers_reach_mongodb() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert {name for name, of in networks.items() if "storage" in of} == {
        "mongo",
        "mongo-setup",
        "api-server",
    }
    assert networks["mongo"] == {"storage"}
    assert COMPOSE["networks"]["storage"] == {"internal": True}
    assert networks["worker-service"] == networks["kafka"] == {"jobs"}


def test_only_the_gateway_is_open_to_this_machine_and_to_no_other() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports.keys() == {"gateway"}
    assert all(port.startswith("127.0.0.1:") for port in ports["gateway"])


def test_kafka_is_open_to_this_machine_if_it_is_asked_for() -> None:
    kafka = KAFKA_ON_HOST["services"]["kafka"]
    assert all(port.startswith("127.0.0.1:") for port in kafka["ports"])
    # A variable of this file replaces that of docker-compose.yml, so it names the listeners of both.
    for variable, value in kafka["environment"].items():
        assert set(SERVICES["kafka"]["environment"][variable].split(",")) < set(value.split(","))


def test_the_controller_of_kafka_is_out_of_reach() -> None:
    assert "CONTROLLER://localhost:" in SERVICES["kafka"]["environment"]["KAFKA_LISTENERS"]


def test_mongodb_is_not_a_version_with_known_holes() -> None:
    name, _, version = SERVICES["mongo"]["image"].partition(":")
    assert name == "mongo"
    assert tuple(int(part) for part in version.split(".")) >= FIXED_IN
