"""The caller of a call: its name, its role, and the job types that it is limited to."""

from contextvars import ContextVar
from dataclasses import dataclass

from contract_runtime.roles import Role


@dataclass(frozen=True, slots=True)
class Principal:
    """A known caller. Tokens with the same name are the same principal.

    `types`: the job types that a worker is limited to; empty: all.
    """

    name: str
    role: Role
    types: frozenset[str] = frozenset()

    @property
    def is_operator(self) -> bool:
        return self.role is Role.OPERATOR


_caller: ContextVar[Principal | None] = ContextVar("caller", default=None)


def caller() -> Principal | None:
    """The caller of the present call. None: callers are not known (AUTH_MODE=none), and may do all."""
    return _caller.get()


def set_caller(principal: Principal) -> None:
    """Set the caller of the present call. Each call is a task, so no other call is affected."""
    _caller.set(principal)
