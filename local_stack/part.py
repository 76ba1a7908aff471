"""One server of the stack, described: what to run, and how to know that it is ready."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from local_stack.settings import HOST, is_free


class StackError(Exception):
    """The stack cannot do what was asked; the text tells a person why, and what to do."""


def nothing_to_prepare() -> None:
    """For servers that need no preparation."""


@dataclass(frozen=True)
class Part:
    """`ports` maps the setting that names a port to the port. `prepare` runs before each start."""

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

    def check_ports(self) -> None:
        """Raise StackError if a port is taken."""
        for setting, port in self.ports.items():
            if not is_free(port):
                raise StackError(
                    f"port {port} ({self.key}, {setting}) is taken: end what uses it, or set another port"
                )


def accepts_connections(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
