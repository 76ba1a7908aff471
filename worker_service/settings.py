"""What the worker service can be told; see docs/reference/settings.md."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from service_runtime.settings import Addresses, CommaSeparated, JobTypes, Port, ServiceSettings

Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
MOST_JOB_TYPES = 256
"""As many as the contract lets a worker register."""
WorkerJobTypes = Annotated[JobTypes, Field(max_length=MOST_JOB_TYPES)]
_CPUS = os.cpu_count() or 1


class WorkerSettings(ServiceSettings):
    """Read from WORKER_NAME, WORKER_JOB_TYPES and so on."""

    worker_name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,128}$",
        description="stays the same over restarts; the host's name and a number if there is none",
    )
    worker_job_types: WorkerJobTypes = ("compute", "file", "blockchain", "data")
    worker_handlers: CommaSeparated = Field(default=(), description="modules with handlers of your own")
    worker_file_root: Path = Field(default=Path("files"), description="the folder that file jobs may read")
    worker_concurrency: int = Field(default=100, ge=1, le=5000, description="async handlers at a time")
    worker_threads: int = Field(default=_CPUS, ge=1, le=256, description="sync handlers at a time")
    worker_processes: int = Field(default=_CPUS, ge=1, le=128, description="CPU-heavy handlers at a time")
    worker_host: str = Field(default="127.0.0.1", min_length=1)
    worker_port: Port = 50151
    worker_drain_timeout: Seconds = Field(
        default=10.0, description="seconds that jobs in hand get at shutdown"
    )
    api_server_address: Addresses = ("127.0.0.1:50051",)
    kafka_bootstrap_servers: Addresses = ("127.0.0.1:9092",)
    kafka_group_id: str = Field(default="job-workers", pattern=r"^[A-Za-z0-9._-]{1,200}$")
