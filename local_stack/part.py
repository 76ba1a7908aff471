"""The description of one server of the stack: how to start it and how to see that it is ready."""

import hashlib
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from api_server.settings import ApiServerSettings
from local_stack.ports import is_free
from local_stack.settings import HOST
from worker_service.settings import WorkerSettings

SERVICE_VARIABLES = {name.upper() for name in [*ApiServerSettings.model_fields, *WorkerSettings.model_fields]}


class StackError(Exception):
    """The stack cannot do what was asked. The message tells a person why and what to do."""


def nothing_to_prepare() -> None:
    """For servers that need no preparation."""


@dataclass(frozen=True)
class Part:
    """`ports` has each port by the name of its setting. `prepare` runs before each start."""

    name: str
    number: int
    command: tuple[str, ...]
    ports: Mapping[str, int]
    is_ready: Callable[[], bool]
    prepare: Callable[[], None] = nothing_to_prepare
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.name}-{self.number}"

    def fingerprint(self) -> str:
        """A hash of the command, the ports and all settings, also those of this process's environment."""
        inherited = {name: value for name, value in os.environ.items() if name in SERVICE_VARIABLES}
        parts = [self.command, sorted(self.ports.items()), sorted({**inherited, **self.environment}.items())]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def check_ports(self) -> None:
        """Raise StackError if a port is taken."""
        for setting, port in self.ports.items():
            if not is_free(port):
                raise StackError(
                    f"port {port} ({self.key}, {setting}) is taken: "
                    "stop the program that uses it, or set another port"
                )


def check_ports_differ(parts: Iterable[Part]) -> None:
    """Raise StackError if two processes would use the same port."""
    users: dict[int, str] = {}
    for part in parts:
        for setting, port in part.ports.items():
            user = f"{part.key}, {setting}"
            if port in users:
                raise StackError(f"port {port} is set twice ({users[port]}; {user}): set another port")
            users[port] = user


def accepts_connections(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
