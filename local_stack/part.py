"""The description of one server of the stack: how to start it and how to see that it is ready."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from local_stack.ports import is_free


class StackError(Exception):
    """The stack cannot do what was asked. The message tells a person why and what to do."""


def nothing_to_prepare() -> None:
    """For servers that need no preparation."""


@dataclass(frozen=True)
class Part:
    """`ports` has each port by the name of its setting. `prepare` runs before each start.

    `variables`: the environment variables of this process that the server reads. `configuration`: what else
    decides how it runs, such as the text of its file.
    """

    name: str
    number: int
    command: tuple[str, ...]
    ports: Mapping[str, int]
    is_ready: Callable[[], bool]
    prepare: Callable[[], None] = nothing_to_prepare
    environment: Mapping[str, str] = field(default_factory=dict)
    variables: Collection[str] = ()
    configuration: str = ""

    @property
    def key(self) -> str:
        return f"{self.name}-{self.number}"

    def fingerprints(self) -> dict[str, str]:
        """A hash of each setting by its name. Secrets cannot be read from them."""
        inherited = {name: os.environ[name] for name in self.variables if name in os.environ}
        ports = {name: str(port) for name, port in self.ports.items()}
        settings = {**inherited, **self.environment, **ports, "command": repr(self.command)}
        if self.configuration:
            settings["configuration"] = self.configuration
        return {name: _hash(f"{self.key} {name} {value}") for name, value in settings.items()}

    def check_ports(self, own: Collection[int] = ()) -> None:
        """Raise StackError if a port is taken, other than by this part itself (`own`)."""
        for setting, port in self.ports.items():
            if port not in own and not is_free(port):
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


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
