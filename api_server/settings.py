"""The settings of the API server, see docs/reference/settings.md."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PlainValidator, StringConstraints, model_validator
from pydantic_settings import NoDecode

from api_server.domain.notification import NOBODY, NotifyDefaults
from api_server.domain.notify_setting import parse_notify
from api_server.domain.retention import KEEP_ALL, Retention, parse_retention
from contract_runtime.limits import JOB_SERVICE, longest_wait
from service_runtime.settings import (
    ANY_TYPE,
    Addresses,
    OpenJobTypes,
    Port,
    ProcessCount,
    ServiceSettings,
    check_host,
    check_ports,
)

LONGEST_WAIT = longest_wait(JOB_SERVICE.methods_by_name["Get"], JOB_SERVICE)
Seconds = Annotated[float, Field(gt=0, le=86_400)]
OTHER_CALLS = 1000
"""Calls that neither wait nor watch."""


def _retention(value: str | Retention) -> Retention:
    return value if isinstance(value, Retention) else parse_retention(value)


JobRetention = Annotated[Retention, NoDecode, PlainValidator(_retention)]
"""One time for all types, and others for some of them: `7d,compute=1d`."""


def _notify(value: str | NotifyDefaults) -> NotifyDefaults:
    return value if isinstance(value, NotifyDefaults) else parse_notify(value)


JobNotify = Annotated[NotifyDefaults, NoDecode, PlainValidator(_notify)]
"""One URL for all types, and others for some of them: `https://a.example/hook,file=never`."""


class ApiServerSettings(ServiceSettings):
    """Durations are in seconds."""

    api_server_host: str = "127.0.0.1"
    api_server_port: Port = 50051
    api_server_processes: ProcessCount = 1
    auth_tokens_file: Path | None = None
    mongodb_uri: str = "mongodb://127.0.0.1:27017/?replicaSet=rs0"
    mongodb_database: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,63}$")] = "jobs"
    kafka_bootstrap_servers: Addresses = ("127.0.0.1:9092",)
    kafka_group_id: str = "job-workers"
    kafka_partitions: Annotated[int, Field(ge=1, le=1000)] = 12
    kafka_replication_factor: Annotated[int, Field(ge=1, le=9)] = 1
    kafka_min_insync_replicas: Annotated[int, Field(ge=1, le=9)] | None = None
    job_types: OpenJobTypes = ("compute", "file", "blockchain", "data", ANY_TYPE)
    job_lease: Seconds = 15.0
    # A worker sends ten heartbeats a second at most.
    heartbeat_interval: Annotated[float, Field(ge=0.1, le=86_400)] = 1.0
    unfenced_lease: Seconds = 3600.0
    job_retention: JobRetention = KEEP_ALL
    job_notify: JobNotify = NOBODY
    # SetFleet waits 5 s for the workers, so its deadline must be longer.
    request_deadline: Annotated[float, Field(ge=6, le=86_400)] = 10.0
    # The gateway's time-out of a call that waits allows for this, see the contract.
    max_wait: Annotated[float, Field(gt=0, le=LONGEST_WAIT)] = LONGEST_WAIT
    max_waits: Annotated[int, Field(ge=1, le=100_000)] = 5000
    max_watches: Annotated[int, Field(ge=1, le=100_000)] = 2000
    # The gateway ends a stream that is silent for 300 s.
    watch_heartbeat: Annotated[float, Field(ge=0.1, le=120)] = 15.0
    # The gateway checks health every second, so it notices within this time.
    shutdown_delay: Annotated[float, Field(ge=0, le=3600)] = 3.0
    shutdown_grace: Seconds = 10.0

    @property
    def max_calls(self) -> int:
        """How many calls one process takes at a time: those that wait, those that watch, and others."""
        return self.max_waits + self.max_watches + OTHER_CALLS

    def of_process(self, number: int) -> Self:
        """The settings of one process, which has its own port. `number`: from 1."""
        return self.model_copy(update={"api_server_port": self.api_server_port + number - 1})

    @model_validator(mode="after")
    def _every_process_has_a_port(self) -> Self:
        check_ports(
            "API_SERVER_PROCESSES", self.api_server_processes, "API_SERVER_PORT", self.api_server_port
        )
        return self

    @model_validator(mode="after")
    def _callers_are_known(self) -> Self:
        check_host(self.auth_mode, "API_SERVER_HOST", self.api_server_host)
        if self.auth_mode == "tokens" and self.auth_tokens_file is None:
            raise ValueError(
                "AUTH_TOKENS_FILE: must be set with AUTH_MODE=tokens: the file that "
                "`python -m api_server tokens new --role operator` makes and adds to"
            )
        return self

    @model_validator(mode="after")
    def _enough_copies_to_be_in_sync(self) -> Self:
        minimum, copies = self.kafka_min_insync_replicas, self.kafka_replication_factor
        if minimum is not None and minimum > copies:
            raise ValueError(
                f"KAFKA_MIN_INSYNC_REPLICAS: {minimum} is not allowed: "
                f"must be at most KAFKA_REPLICATION_FACTOR, which is {copies}"
            )
        return self

    @model_validator(mode="after")
    def _heartbeats_fit_in_a_lease(self) -> Self:
        # A heartbeat moves a lease when less than half of it is left: this leaves time for a late heartbeat.
        if self.heartbeat_interval > self.job_lease / 6:
            raise ValueError(
                f"HEARTBEAT_INTERVAL: {self.heartbeat_interval:g} is not allowed: "
                f"must be at most a sixth of JOB_LEASE, which is {self.job_lease:g}"
            )
        return self
