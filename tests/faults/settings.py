"""The size of a run, from variables FAULTS_*. The defaults are for `make test`."""

import random
from typing import Annotated

from pydantic import Field, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]


class FaultSettings(BaseSettings):
    """`jobs` and `rate` (jobs per second) hold for each scenario."""

    model_config = SettingsConfigDict(env_prefix="FAULTS_", env_ignore_empty=True, frozen=True)

    jobs: PositiveInt = 80
    joined: bool = Field(
        default=True,
        description="whether scenarios that do not disturb each other share a run, one after the other",
    )
    rate: Seconds = 33.0
    lease: Seconds = 3.0
    bound: Seconds = Field(
        default=30.0,
        description="seconds from the end of load and faults in which all jobs must end",
    )
    compared: PositiveInt = Field(
        default=1000, description="jobs of the run that is compared with other systems"
    )
    compared_within: Seconds = Field(
        default=30.0,
        description="seconds from the restart in which they must end; 10 s on a quiet machine",
    )
    republish_after: Seconds = Field(
        default=4.0,
        description="seconds until an API server checks the record of a waiting job; 60 s outside tests",
    )
    minutes: Seconds = Field(default=0.15, description="minutes of random faults")
    read_pause: Seconds = Field(
        default=0.2, description="seconds between two reads of single jobs by one reader"
    )
    list_pause: Seconds = Field(default=1.5, description="seconds between two reads of the whole list")
    seed: int = Field(default_factory=lambda: random.randrange(1_000_000))  # noqa: S311 - it is printed
