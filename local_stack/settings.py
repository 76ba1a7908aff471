"""Which ports and folders a stack uses: from variables STACK_*, or chosen free for a test."""

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, NonNegativeInt
from pydantic_settings import BaseSettings, SettingsConfigDict

from service_runtime.settings import Port

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
MAX_REPLICAS = 9


class StackSettings(BaseSettings):
    """Service number n listens on its base port + n - 1, n up to MAX_REPLICAS."""

    model_config = SettingsConfigDict(env_prefix="STACK_", env_ignore_empty=True, frozen=True)

    data_dir: Path = ROOT / ".stack"
    cache_dir: Path = ROOT / ".cache"
    file_root: Path = ROOT / "examples/files"
    jobs_port: Port = 3000
    workers_port: Port = 4000
    envoy_admin_port: Port = 9901
    mongodb_port: Port = 27017
    kafka_port: Port = 9092
    kafka_controller_port: Port = 9094
    api_server_port: Port = 50051
    worker_port: Port = 50151
    api_servers: Annotated[NonNegativeInt, Field(le=MAX_REPLICAS)] = 1
    workers: Annotated[NonNegativeInt, Field(le=MAX_REPLICAS)] = 1

    @classmethod
    def with_free_ports(cls, data_dir: Path, api_servers: int = 1, workers: int = 1) -> Self:
        """For a stack beside others."""
        names = [name for name in cls.model_fields if name.endswith("_port")]
        ranges = {"api_server_port": MAX_REPLICAS, "worker_port": MAX_REPLICAS}
        return cls.model_validate(
            {
                "data_dir": data_dir,
                "api_servers": api_servers,
                "workers": workers,
                **_free_ports({name: ranges.get(name, 1) for name in names}),
            }
        )


def _free_ports(sizes: dict[str, int]) -> dict[str, int]:
    """For each name the first of so many free ports in a row; all different, and all held until all are found."""
    found: dict[str, int] = {}
    with ExitStack() as held:
        for name, size in sizes.items():
            while name not in found:
                first = held.enter_context(_bound(0))
                port: int = first.getsockname()[1]
                try:
                    for offset in range(1, size):
                        held.enter_context(_bound(port + offset))
                except (OSError, OverflowError):
                    continue
                found[name] = port
    return found


def _bound(port: int) -> socket.socket:
    probe = socket.socket()
    try:
        probe.bind((HOST, port))
    except (OSError, OverflowError):
        probe.close()
        raise
    return probe
