"""The settings of a benchmark run; see docs/reference/performance.md."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from local_stack.settings import ROOT


def _split(value: Any) -> Any:
    return value.split(",") if isinstance(value, str) else value


Counts = Annotated[tuple[NonNegativeInt, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)]
"""Several numbers in one variable, such as `0,1000`."""


class BenchSettings(BaseSettings):
    """Read from BENCH_ROUNDS, BENCH_GRPC_JOBS and so on. The services read their own variables as usual."""

    model_config = SettingsConfigDict(env_prefix="BENCH_", env_ignore_empty=True, frozen=True)

    rounds: PositiveInt = Field(default=3, description="how many times everything is measured")
    warm_up_jobs: PositiveInt = Field(
        default=2_000, description="jobs before the first clock starts, in each system"
    )
    grpc_jobs: PositiveInt = Field(default=10_000, description="created one by one")
    stub_jobs: PositiveInt = Field(default=5_000, description="created with the generated stubs")
    client_jobs: PositiveInt = Field(default=10_000, description="created with the Python client")
    batch_jobs: PositiveInt = Field(default=20_000, description="created by BatchCreate, and by the floor")
    celery_jobs: PositiveInt = 3_000
    taskiq_jobs: PositiveInt = 10_000
    dramatiq_jobs: PositiveInt = 10_000
    rest_jobs: PositiveInt = Field(default=10_000, description="submitted through our gateway")
    plain_jobs: PositiveInt = Field(default=1_000, description="submitted to the plain version")
    in_flight: PositiveInt = Field(default=64, description="calls in flight, in rows without batches")
    batch_size: PositiveInt = Field(default=1_000, description="jobs in a BatchCreate")
    batches_in_flight: PositiveInt = 4
    floor_batch: PositiveInt = Field(
        default=200, description="the floor's batch, if BatchCreate was not measured"
    )
    latency_rate: PositiveInt = Field(default=50, description="jobs per second")
    latency_jobs: PositiveInt = 500
    memory_jobs: PositiveInt = Field(default=20_000, description="jobs before memory is measured first")
    memory_jobs_more: PositiveInt = Field(default=200_000, description="jobs before memory is measured again")
    stored: Counts = Field(default=(0, 100_000, 1_000_000), description="jobs that are stored already")
    waiting: Counts = Field(default=(1_000, 10_000, 50_000), description="jobs that wait")
    waits: NonNegativeInt = Field(default=1_000, description="calls that wait")
    watches: NonNegativeInt = Field(default=1_000, description="calls that watch")
    api_servers: PositiveInt = Field(default=2, description="one for each core")
    workers: PositiveInt = 1
    output: Path = Field(default=ROOT / ".bench", description="folder for the results")
