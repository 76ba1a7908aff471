"""Decides whether a call may begin, before its request is decoded."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol

from grpc_health.v1 import health

from contract_runtime.limits import SERVICES
from contract_runtime.rest import twin_of
from contract_runtime.roles import Role, may_call
from service_runtime.access.bearer import bearer_token
from service_runtime.access.principal import Principal, set_caller
from service_runtime.access.refusals import RoleMissing, TokenInvalid
from service_runtime.reflection import SERVICE_NAMES as REFLECTION

Guard = Callable[[Any], None]
"""Gets gRPC's context of a call. Raises Unauthenticated or PermissionDenied."""


class Gate(Protocol):
    """Has the guard of each method."""

    def guard(self, method: str) -> Guard | None:
        """`method`: `jobs.v1.JobService/Get`. None: anybody may call it.

        Raises KeyError if nothing says who may call it.
        """


class OpenGate:
    """Callers are not known, and anybody may call anything."""

    def guard(self, method: str) -> None:  # noqa: ARG002 - a Gate
        return None


class TokenGate:
    """Takes calls with a valid token whose role the contract names at the method."""

    def __init__(self, principal_of: Callable[[str], Principal | None]) -> None:
        """`principal_of`: whose token it is, None if it is not valid."""
        self._principal_of = principal_of

    def guard(self, method: str) -> Guard | None:
        roles = roles_of_calls()[method]
        if roles is None:
            return None
        allowed, shown = roles, method.replace(".rest.", ".")

        def principal_of(token: str) -> Principal:
            principal = self._principal_of(token)
            if principal is None:
                raise TokenInvalid
            if principal.role not in allowed:
                raise RoleMissing(principal.role, allowed, shown)
            return principal

        def check(context: Any) -> None:
            token = bearer_token(context.invocation_metadata())

            def check_again() -> None:
                principal_of(token)

            set_caller(principal_of(token), check_again)

        return check


class BearerGate:
    """Takes calls that have a token, whatever it is: another server decides, which gets it with each call."""

    def guard(self, method: str) -> Guard | None:
        return None if roles_of_calls()[method] is None else _check_form


def _check_form(context: Any) -> None:
    bearer_token(context.invocation_metadata())


@cache
def roles_of_calls() -> Mapping[str, frozenset[Role] | None]:
    """Who may call each method that a server here can have. None: anybody."""
    roles: dict[str, frozenset[Role] | None] = {}
    for service in SERVICES:
        for method in service.methods:
            allowed = may_call(method)
            for name in (service.full_name, twin_of(service.full_name)):
                roles[f"{name}/{method.name}"] = allowed
    # Load balancers and gRPC's own health checks send no token. The answer is one word.
    roles |= dict.fromkeys(f"{health.SERVICE_NAME}/{name}" for name in ("Check", "Watch"))
    listing = f"{health.SERVICE_NAME}/List", *(f"{name}/ServerReflectionInfo" for name in REFLECTION)
    roles |= dict.fromkeys(listing, frozenset(Role))
    return roles
