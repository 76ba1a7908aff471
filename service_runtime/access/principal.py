"""The caller of a call: its name, its role, and the job types that it is limited to."""

from collections.abc import Callable
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
_check_again: ContextVar[Callable[[], None] | None] = ContextVar("check_again", default=None)


def caller() -> Principal | None:
    """The caller of the present call. None: callers are not known (AUTH_MODE=none), and may do all."""
    return _caller.get()


def set_caller(principal: Principal, check_again: Callable[[], None]) -> None:
    """Set the caller of the present call. Each call is a task, so no other call is affected.

    `check_again` raises ServiceError when the caller may not make the call any more.
    """
    _caller.set(principal)
    _check_again.set(check_again)


def check_caller_again() -> None:
    """For calls that last long. Raises ServiceError when the caller may not make the call any more."""
    check = _check_again.get()
    if check is not None:
        check()
