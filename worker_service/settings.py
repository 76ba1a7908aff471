"""The settings of the worker service; see docs/reference/settings.md."""

import os
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from contract_runtime.credentials import checked_token, read_token
from service_runtime.settings import (
    Addresses,
    CommaSeparated,
    JobTypes,
    Port,
    ProcessCount,
    ServiceSettings,
    check_host,
    check_ports,
    split,
)
from worker_service.default_name import MAX_NAME
from worker_service.handlers.webhooks.signature import secret_bytes

Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
MAX_JOB_TYPES = 256
"""The contract's limit for the types of one worker."""
WorkerJobTypes = Annotated[JobTypes, Field(max_length=MAX_JOB_TYPES)]
MAX_SECRETS = 4
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(split)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(split)]
_CPUS = os.cpu_count() or 1


class WorkerSettings(ServiceSettings):
    """Read from WORKER_NAME, WORKER_JOB_TYPES and so on."""

    worker_name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,128}$",
        description="stays the same over restarts; the host's name and a number if there is none",
    )
    worker_job_types: WorkerJobTypes | None = Field(default=None, description="all that have a handler")
    worker_handlers: CommaSeparated = Field(default=(), description="modules with handlers of your own")
    worker_file_root: Path = Field(default=Path("files"), description="the folder that file jobs may read")
    worker_concurrency: int = Field(default=100, ge=1, le=5000, description="async handlers at a time")
    worker_loop_timeout: float = Field(
        default=15.0,
        ge=1,
        le=3600,
        allow_inf_nan=False,
        description="seconds that a handler may hold up the others of the event loop",
    )
    worker_threads: int = Field(default=_CPUS, ge=1, le=256, description="sync handlers at a time")
    worker_processes: int = Field(default=_CPUS, ge=1, le=128, description="CPU-heavy handlers at a time")
    worker_process_jobs: int | None = Field(
        default=None, ge=1, le=1_000_000, description="jobs after which a process for handlers is renewed"
    )
    worker_count: ProcessCount = Field(
        default=1, description="workers, each a process with a name and a port"
    )
    worker_host: str = Field(default="127.0.0.1", min_length=1)
    worker_port: Port = 50151
    worker_token: SecretStr | None = Field(default=None, description="what API servers ask for")
    worker_token_file: Path | None = Field(default=None, description="a file with the same")
    webhook_secret: Secrets = Field(default=(), description="signs webhooks; without one none is sent")
    webhook_allowed_networks: Networks = Field(
        default=(), description="networks that webhooks may be sent to although they are not public"
    )
    worker_drain_timeout: Seconds = Field(
        default=10.0, description="seconds that jobs in flight get at shutdown"
    )
    api_server_address: Addresses = Field(default=("127.0.0.1:50051",), description="the first port of each")
    api_server_processes: ProcessCount = Field(default=1, description="how many ports each API server has")
    kafka_bootstrap_servers: Addresses = ("127.0.0.1:9092",)
    kafka_group_id: str = Field(default="job-workers", pattern=r"^[A-Za-z0-9._-]{1,200}$")
    kafka_fetch_max_wait: Annotated[float, Field(ge=0.01, le=2)] = 0.1

    @property
    def webhook_keys(self) -> tuple[bytes, ...]:
        """The keys of all secrets."""
        return tuple(secret_bytes(each.get_secret_value()) for each in self.webhook_secret)

    def token(self) -> str:
        """The token that this worker sends to API servers; "" if there is none. Raises WrongToken."""
        if self.worker_token_file is not None:
            return read_token(self.worker_token_file, "WORKER_TOKEN_FILE")
        if self.worker_token is not None:
            return checked_token(self.worker_token.get_secret_value(), "WORKER_TOKEN")
        return ""

    @property
    def api_server_endpoints(self) -> tuple[str, ...]:
        """Each process of each API server, as host:port."""
        first = [_host_and_port(address) for address in self.api_server_address]
        every = [f"{host}:{port + n}" for n in range(self.api_server_processes) for host, port in first]
        return tuple(dict.fromkeys(every))

    def of_process(self, number: int) -> Self:
        """The settings of one process: with its own port, and with its own name if a name is set.

        Numbers start at 1.
        """
        name = self.worker_name and f"{self.worker_name}-{number}"
        return self.model_copy(update={"worker_port": self.worker_port + number - 1, "worker_name": name})

    @model_validator(mode="after")
    def _webhooks_can_be_signed(self) -> Self:
        # Not a rule of the field: its error would show the secret.
        if len(self.webhook_secret) > MAX_SECRETS:
            raise ValueError(f"WEBHOOK_SECRET: must have at most {MAX_SECRETS} secrets")
        for each in self.webhook_secret:
            try:
                secret_bytes(each.get_secret_value())
            except ValueError as error:
                raise ValueError(f"WEBHOOK_SECRET: each secret {error}") from None
        return self

    @model_validator(mode="after")
    def _callers_are_known(self) -> Self:
        check_host(self.auth_mode, "WORKER_HOST", self.worker_host)
        return self

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.worker_token is not None and self.worker_token_file is not None:
            raise ValueError("WORKER_TOKEN, WORKER_TOKEN_FILE: only one of them must be set")
        return self

    @model_validator(mode="after")
    def _every_process_has_a_port(self) -> Self:
        check_ports("WORKER_COUNT", self.worker_count, "WORKER_PORT", self.worker_port)
        for address in self.api_server_address:
            _, port = _host_and_port(address)
            check_ports(
                "API_SERVER_PROCESSES", self.api_server_processes, "a port of API_SERVER_ADDRESS", port
            )
        return self

    @model_validator(mode="after")
    def _every_process_has_a_name(self) -> Self:
        longest = MAX_NAME - len(f"-{self.worker_count}")
        if self.worker_count > 1 and self.worker_name is not None and len(self.worker_name) > longest:
            raise ValueError(
                f"WORKER_NAME: {self.worker_name!r} is not allowed: at most {longest} characters, "
                f"since each of the {self.worker_count} workers adds its number"
            )
        return self


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
