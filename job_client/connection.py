"""Where the servers are and how they are reached: addresses, TLS and the token."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc

from contract_runtime.credentials import bearer, read_token
from job_client.fields import type_name

ADDRESS = "127.0.0.1:3000"
CONTROL_PORT = 4000
DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(?:(https?)://)?((?:\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]+))(?::(\d{1,5}))?/?")


@dataclass(frozen=True)
class Address:
    """`target`: host:port. `is_secure`: by TLS."""

    target: str
    is_secure: bool


@dataclass(frozen=True)
class Connection:
    """How a client reaches the servers. `credentials` None: nothing is encrypted."""

    address: Address
    control: Address
    credentials: grpc.ChannelCredentials | None
    token: str | None = field(repr=False)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return bearer(self.token or "")

    def for_control(self) -> "Connection":
        """The same, for calls of WorkerService."""
        return replace(self, address=self.control)


def connection(address: Any, control_address: Any, token: Any, credentials: Any) -> Connection:
    """Checks the arguments of a client. Raises TypeError or ValueError, which name the argument."""
    jobs = parse("address", address)
    host = jobs.target.rpartition(":")[0]
    control = (
        Address(f"{host}:{CONTROL_PORT}", jobs.is_secure)
        if control_address is None
        else parse("control_address", control_address)
    )
    if not isinstance(credentials, grpc.ChannelCredentials | None):
        raise TypeError(f"credentials must be grpc.ChannelCredentials, is of type {type_name(credentials)}")
    if token is not None and not isinstance(token, str):
        raise TypeError(f"token must be a string, is of type {type_name(token)}")
    if token and not (token.isascii() and token.isprintable()):
        raise ValueError("token must have printable ASCII characters only; look for a line end in it")
    if credentials is None and jobs.is_secure:
        credentials = grpc.ssl_channel_credentials()
    return Connection(jobs, control, credentials, token)


def parse(name: str, value: Any) -> Address:
    """`host:port`, or a URL with http or https and without a path."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, is of type {type_name(value)}")
    found = _URL.fullmatch(value.strip())
    if found is None or (found[1] is None and found[3] is None):
        raise ValueError(
            f"{name} must be host:port, or a URL such as http://127.0.0.1:3000 without a path, "
            f"is {value[:200]!r}"
        )
    port = int(found[3]) if found[3] else DEFAULT_PORTS[found[1]]
    if not 0 < port < 65536:
        raise ValueError(f"{name} must have a port from 1 to 65535, is {value[:200]!r}")
    return Address(f"{found[2]}:{port}", found[1] == "https")


def from_environment(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The arguments of a client from JOBS_URL, JOBS_CONTROL_URL, JOBS_TOKEN or JOBS_TOKEN_FILE, and
    JOBS_CA_FILE.

    Raises ValueError, which names the variable.
    """
    values = {name: value for name, value in (environment or os.environ).items() if value}
    arguments: dict[str, Any] = {"address": values.get("JOBS_URL", ADDRESS)}
    for variable, argument in (("JOBS_CONTROL_URL", "control_address"), ("JOBS_TOKEN", "token")):
        if variable in values:
            arguments[argument] = values[variable]
    if token_file := values.get("JOBS_TOKEN_FILE"):
        if "token" in arguments:
            raise ValueError("JOBS_TOKEN, JOBS_TOKEN_FILE: only one of them must be set")
        arguments["token"] = read_token(token_file, "JOBS_TOKEN_FILE")
    for variable in ("JOBS_URL", "JOBS_CONTROL_URL"):
        if variable in values:
            parse(variable, values[variable])
    if ca_file := values.get("JOBS_CA_FILE"):
        try:
            certificates = Path(ca_file).read_bytes()
        except OSError as error:
            raise ValueError(f"JOBS_CA_FILE cannot be read: {ca_file}: {error.strerror}") from None
        arguments["credentials"] = grpc.ssl_channel_credentials(certificates)
    return arguments
