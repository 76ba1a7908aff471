"""The ports and folders of a stack: from variables STACK_*, or free ports for a test."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.dashboard_routes import Dashboard
from local_stack.ports import FREE_PORTS, LOOPBACK
from service_runtime.settings import CommaSeparated, Port, ProcessCount

ROOT = Path(__file__).parent.parent
HOST = LOOPBACK
MAX_REPLICAS = 9


class StackSettings(BaseSettings):
    """Service number n, at most MAX_REPLICAS, listens on its base port + n - 1.

    A service that runs in several processes has one port after the other for them.
    """

    model_config = SettingsConfigDict(env_prefix="STACK_", env_ignore_empty=True, frozen=True)

    data_dir: Path = ROOT / ".stack"
    cache_dir: Path = ROOT / ".cache"
    file_root: Path = ROOT / "examples/files"
    jobs_port: Port = 3000
    workers_port: Port = 4000
    mongodb_port: Port = 27017
    kafka_port: Port = 9092
    kafka_controller_port: Port = 9094
    api_server_port: Port = 50051
    worker_port: Port = 50151
    cors_origins: CommaSeparated = Field(default=(), validation_alias="GATEWAY_CORS_ORIGINS")
    gateway_hosts: CommaSeparated = Field(default=(), validation_alias="GATEWAY_HOSTS")
    dashboard: Dashboard = Field(default="full", validation_alias="GATEWAY_DASHBOARD")
    api_servers: Annotated[NonNegativeInt, Field(le=MAX_REPLICAS)] = 1
    workers: Annotated[NonNegativeInt, Field(le=MAX_REPLICAS)] = 1
    api_server_processes: ProcessCount = Field(default=1, validation_alias="API_SERVER_PROCESSES")
    worker_count: ProcessCount = Field(default=1, validation_alias="WORKER_COUNT")

    def api_server_ports(self, number: int) -> range:
        """The ports of all processes of the API server with this number, from 1 on."""
        return _ports(self.api_server_port, self.api_server_processes, number)

    def worker_ports(self, number: int) -> range:
        """The ports of all workers of the worker service with this number, from 1 on."""
        return _ports(self.worker_port, self.worker_count, number)

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        ports = {name: port for name, port in self if name.endswith("_port")}
        for name, port in ports.items():
            others = [other for other in ports if other != name and ports[other] == port]
            if others:
                raise ValueError(
                    f"STACK_{name.upper()} and STACK_{others[0].upper()} are both {port}; they must differ"
                )
        return self

    @classmethod
    def with_free_ports(cls, data_dir: Path, api_servers: int = 1, workers: int = 1) -> Self:
        """Settings of a stack that runs beside other stacks."""
        plan = cls.model_validate({"data_dir": data_dir, "api_servers": api_servers, "workers": workers})
        processes = {"api_server_port": plan.api_server_processes, "worker_port": plan.worker_count}
        counts = {name: 1 for name in cls.model_fields if name.endswith("_port")}
        counts |= {name: MAX_REPLICAS * count for name, count in processes.items()}
        return plan.model_copy(update={name: FREE_PORTS.take(count) for name, count in counts.items()})


def _ports(base: int, processes: int, number: int) -> range:
    first = base + (number - 1) * processes
    return range(first, first + processes)
