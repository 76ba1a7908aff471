"""How large a run is: from variables FAULTS_*. The defaults are for `make test`; `make test-faults` sets more."""

import random
from typing import Annotated

from pydantic import Field, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]


class FaultSettings(BaseSettings):
    """`jobs` and `rate` (jobs a second) are those of each scenario."""

    model_config = SettingsConfigDict(env_prefix="FAULTS_", env_ignore_empty=True, frozen=True)

    jobs: PositiveInt = 80
    rate: Seconds = 33.0
    lease: Seconds = 3.0
    bound: Seconds = Field(
        default=30.0,
        description="seconds in which every job must have ended, from the end of load and faults",
    )
    compared: PositiveInt = Field(default=1000, description="jobs of the run to compare with others")
    compared_within: Seconds = Field(
        default=30.0,
        description="seconds from the restart in which they must have ended; 10 s on a quiet machine",
    )
    republish_after: Seconds = Field(
        default=4.0,
        description="when an API server looks for the record of a job that waits; 60 s but for tests",
    )
    minutes: Seconds = Field(default=0.15, description="how long nemesis goes on")
    seed: int = Field(default_factory=lambda: random.randrange(1_000_000))  # noqa: S311 - it is printed
