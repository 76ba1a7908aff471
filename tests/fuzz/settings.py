"""How much is sent: from variables FUZZ_*. The default is for `make test`; `make test-faults` sets more."""

import random

from pydantic import Field, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict


class FuzzSettings(BaseSettings):
    """`inputs`: calls that are made up, in all. With the same `seed` they are the same."""

    model_config = SettingsConfigDict(env_prefix="FUZZ_", env_ignore_empty=True, frozen=True)

    inputs: PositiveInt = 250
    seed: int = Field(default_factory=lambda: random.randrange(1_000_000))  # noqa: S311 - it is printed


FUZZ = FuzzSettings()
