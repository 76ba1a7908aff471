"""Reads settings from environment variables and checks them at start."""

import os
import re
import sys
from ipaddress import ip_address
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import structlog
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contract_runtime.job_types import JOB_TYPE_PATTERN
from service_runtime.log_output import print_error
from service_runtime.unknown_settings import mistyped, unserved

WRONG_SETTINGS_STATUS = 2
"""Exit status of a process with invalid settings."""
LAST_PORT = 65535
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


def split(value: Any) -> Any:
    """The parts of a list in one variable, without spaces around them."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _each_once(types: tuple[str, ...]) -> tuple[str, ...]:
    if not types or len(set(types)) != len(types):
        raise ValueError("must name at least one job type, each once")
    return types


def _check_addresses(addresses: tuple[str, ...]) -> tuple[str, ...]:
    if not addresses:
        raise ValueError("at least one host:port")
    for address in addresses:
        found = _ADDRESS.fullmatch(address)
        if found is None or not 1 <= int(found[2]) <= LAST_PORT:
            raise ValueError(f"{address!r} is not host:port with a port from 1 to {LAST_PORT}")
    return tuple(dict.fromkeys(addresses))


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]
"""A list in one variable: `a,b,c`."""

JobType = Annotated[str, StringConstraints(pattern=JOB_TYPE_PATTERN)]
JobTypes = Annotated[tuple[JobType, ...], NoDecode, BeforeValidator(split), AfterValidator(_each_once)]
"""At least one job type, each once, in one variable: `compute,data`."""

ANY_TYPE = "*"
"""Stands for job types that are not known in advance."""
OpenJobTypes = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=rf"^\*$|{JOB_TYPE_PATTERN}")], ...],
    NoDecode,
    BeforeValidator(split),
    AfterValidator(_each_once),
]
"""The same, and ANY_TYPE may be one of them."""

Addresses = Annotated[CommaSeparated, AfterValidator(_check_addresses)]
"""At least one server in one variable, each host:port: `kafka-1:9092,[::1]:9092`."""

Port = Annotated[int, Field(ge=1, le=LAST_PORT)]
ProcessCount = Annotated[int, Field(ge=1, le=64)]
"""The number of processes of a service; the n-th listens on its port + n - 1."""


def check_ports(count_variable: str, count: int, port_variable: str, port: int) -> None:
    """Raise ValueError if the last process would need a port above LAST_PORT."""
    if port + count - 1 > LAST_PORT:
        raise ValueError(
            f"{count_variable}: {count} is not allowed: "
            f"{port_variable} is {port}, and the last port is {LAST_PORT}"
        )


def check_host(auth_mode: str, variable: str, host: str) -> None:
    """Raise ValueError if other hosts could call everything, and nobody has said that they may."""
    if auth_mode == "none" and not is_loopback(host):
        raise ValueError(
            f"AUTH_MODE: none is not allowed while {variable} is {host!r}: whoever reaches the port could "
            "call everything. Set AUTH_MODE=tokens (docs/howto/use-tokens.md), or AUTH_MODE=open if only "
            "trusted programs can reach it"
        )


def is_loopback(host: str) -> bool:
    """Whether only programs of this host can reach a server that listens there."""
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return host == "localhost"


class ServiceSettings(BaseSettings):
    """The settings of every service. A field `worker_port` is read from the variable WORKER_PORT."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, else JSON"
    )
    auth_mode: Literal["none", "open", "tokens"] = Field(
        default="none", description="none: anybody may call, from this host only; tokens: callers need one"
    )
    grpc_reflection: Literal["auto", "on", "off"] = Field(
        default="auto", description="auto: on with AUTH_MODE=none"
    )

    @property
    def has_reflection(self) -> bool:
        return self.grpc_reflection == "on" or (self.grpc_reflection == "auto" and self.auth_mode == "none")


S = TypeVar("S", bound=ServiceSettings)


class WrongSettings(ValueError):
    """One line for each invalid variable: its name, its value, and what is allowed."""


def read_settings(settings_class: type[S]) -> S:
    """Read the environment. Raises WrongSettings."""
    try:
        return settings_class()
    except ValidationError as error:
        raise WrongSettings("\n".join(_describe(dict(item)) for item in error.errors())) from None


def load_settings(settings_class: type[S]) -> S:
    """Read the environment. If it is invalid, print why on standard error and end with status 2."""
    try:
        settings = read_settings(settings_class)
        _check_unserved(settings_class)
    except WrongSettings as error:
        exit_with_wrong_settings(str(error))
    return settings


def _check_unserved(settings_class: type[ServiceSettings]) -> None:
    """Raise WrongSettings if a variable asks for a protection that the service does not have.

    Whoever has set it believes that connections are protected, so a warning is not enough.
    """
    if found := unserved(_names_in_use(), variables(settings_class)):
        raise WrongSettings(
            "\n".join(f"{name}: is not a setting: connections to Kafka are plain text" for name in found)
        )


def warn_of_mistyped_settings(settings_class: type[ServiceSettings]) -> None:
    """Log variables that are probably mistyped settings. They have no effect."""
    for name, nearest in mistyped(_names_in_use(), variables(settings_class)).items():
        structlog.get_logger().warning("unknown_setting", variable=name, perhaps=nearest)


def _names_in_use() -> list[str]:
    """An empty variable counts as absent."""
    return [name for name, value in os.environ.items() if value]


def variables(settings_class: type[ServiceSettings]) -> set[str]:
    """The variables that the settings are read from."""
    return {name.upper() for name in settings_class.model_fields}


def exit_with_wrong_settings(message: str) -> NoReturn:
    """Print `message` on standard error and end the process with status 2."""
    print_error(message)
    sys.exit(WRONG_SETTINGS_STATUS)


def _describe(item: dict[str, Any]) -> str:
    rule = item["msg"].removeprefix("Value error, ")
    if not item["loc"]:
        # A rule about several settings; its text names them. The input would be all settings, including
        # passwords.
        return str(rule)
    return f"{str(item['loc'][0]).upper()}: {item['input']!r} is not allowed: {rule}"
