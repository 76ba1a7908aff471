"""The number of inputs, from variables FUZZ_*. The default is for `make test`."""

import random

from pydantic import Field, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict


class FuzzSettings(BaseSettings):
    """`inputs`: the number of generated calls. The same `seed` gives the same calls."""

    model_config = SettingsConfigDict(env_prefix="FUZZ_", env_ignore_empty=True, frozen=True)

    inputs: PositiveInt = 100
    seed: int = Field(default_factory=lambda: random.randrange(1_000_000))  # noqa: S311 - it is printed


FUZZ = FuzzSettings()
