"""How a call is refused because of who its caller is.

ServiceError
├── Unauthenticated     the caller is not known
└── PermissionDenied    the caller is known, and may not do this
"""

from collections.abc import Collection, Iterable

from google.rpc.code_pb2 import Code

from contract_runtime.errors import ServiceError
from contract_runtime.roles import Role
from service_runtime.access.principal import Principal


class Unauthenticated(ServiceError):
    """The call has no token that this server accepts."""

    code = Code.UNAUTHENTICATED


class TokenMissing(Unauthenticated):
    """The call has no token at all."""

    reason = "TOKEN_MISSING"

    def __init__(self) -> None:
        super().__init__("this server asks for a token: send the header `authorization: Bearer TOKEN`")


class TokenInvalid(Unauthenticated):
    """Unknown, expired, revoked or malformed: the answer does not say which, so that nobody learns by it
    which tokens exist.
    """

    reason = "TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__("the token is not valid: send one valid token as `authorization: Bearer TOKEN`")


class PermissionDenied(ServiceError):
    """The caller may not do this."""

    code = Code.PERMISSION_DENIED


class RoleMissing(PermissionDenied):
    """Callers with this role may not call the method, or not in this way."""

    reason = "ROLE_MISSING"

    def __init__(self, role: Role, needed: Collection[Role], what: str) -> None:
        """`what`: the method, or what it was asked to do."""
        names = " or ".join(sorted(needed))
        super().__init__(
            f"{what} needs a token with the role {names}; this one has {role}",
            {"role": role, "needed": ",".join(sorted(needed))},
        )


class TypeNotAllowed(PermissionDenied):
    """The worker's token is limited to other job types."""

    reason = "TYPE_NOT_ALLOWED"

    def __init__(self, principal: Principal, types: Iterable[str]) -> None:
        wrong, allowed = ", ".join(sorted(types)), ", ".join(sorted(principal.types))
        super().__init__(
            f"this token is limited to jobs of the types {allowed}, not {wrong}", {"types": wrong}
        )
