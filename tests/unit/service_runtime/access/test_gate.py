"""Who may call which method, and with which header."""

from typing import Any

import pytest

from contract_runtime.credentials import MAX_TOKEN
from contract_runtime.limits import SERVICES
from contract_runtime.roles import Role
from service_runtime.access.bearer import bearer_token
from service_runtime.access.gate import Gate, OpenGate, TokenGate, roles_of_calls
from service_runtime.access.principal import Principal, caller
from service_runtime.access.refusals import RoleMissing, TokenInvalid, TokenMissing, TypeNotAllowed

PRINCIPALS = {str(role): Principal(f"the-{role}", role) for role in Role}


class Context:
    def __init__(self, *values: Any) -> None:
        self._metadata = tuple(("authorization", value) for value in values)

    def invocation_metadata(self) -> Any:
        return (("user-agent", "test"), *self._metadata)


GATE = TokenGate(PRINCIPALS.get)


async def test_the_caller_is_known_during_the_call() -> None:
    guard = GATE.guard("jobs.v1.JobService/Create")
    assert guard
    assert caller() is None
    guard(Context("Bearer submitter"))
    assert caller() == PRINCIPALS["submitter"]


def test_a_missing_role_is_named() -> None:
    guard = GATE.guard("jobs.v1.JobService/Create")
    assert guard
    with pytest.raises(RoleMissing) as refusal:
        guard(Context("Bearer reader"))
    assert refusal.value.metadata == {"role": "reader", "needed": "operator,submitter"}
    assert "needs a token with the role operator or submitter" in refusal.value.message


@pytest.mark.parametrize("value", ["Bearer secret-that-nobody-knows", "Basic reader", "reader", "Bearer"])
def test_an_invalid_token_is_refused_and_not_repeated(value: str) -> None:
    guard = GATE.guard("jobs.v1.JobService/Get")
    assert guard
    with pytest.raises(TokenInvalid) as refusal:
        guard(Context(value))
    assert "secret" not in refusal.value.message
    assert not refusal.value.metadata


def test_health_is_open_and_all_else_is_not() -> None:
    is_open = {method for method, roles in roles_of_calls().items() if roles is None}
    assert is_open == {"grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch"}
    for service in SERVICES:
        for method in service.methods:
            assert GATE.guard(f"{service.full_name}/{method.name}")


def test_a_method_of_an_unknown_service_cannot_be_served() -> None:
    with pytest.raises(KeyError):
        GATE.guard("other.Service/Call")


def test_without_tokens_nothing_is_checked() -> None:
    gate: Gate = OpenGate()
    assert gate.guard("jobs.v1.JobService/Get") is None


@pytest.mark.parametrize("value", ["Bearer t", "bearer t", "BEARER   t ", "Bearer " + "t" * MAX_TOKEN])
def test_forms_of_the_header_that_count(value: str) -> None:
    assert bearer_token(Context(value).invocation_metadata()).strip("t") == ""


@pytest.mark.parametrize(
    "values",
    [
        ("",),
        ("Bearer ",),
        ("Bearer t", "Bearer t"),
        ("Bearer t", "Basic dTpw"),
        ("Token t",),
        (b"Bearer t",),
        ("Bearer \u00e9",),
        ("Bearer " + "t" * (MAX_TOKEN + 1),),
    ],
)
def test_forms_of_the_header_that_do_not_count(values: tuple[Any, ...]) -> None:
    with pytest.raises(TokenInvalid):
        bearer_token(Context(*values).invocation_metadata())


@pytest.mark.parametrize("metadata", [None, (), (("x-authorization", "Bearer t"),)])
def test_a_missing_header_is_told_apart(metadata: Any) -> None:
    with pytest.raises(TokenMissing):
        bearer_token(metadata)


def test_a_type_that_is_not_allowed_is_named() -> None:
    error = TypeNotAllowed(Principal("w", Role.WORKER, frozenset({"data"})), ["file"])
    assert error.message == "this token is limited to jobs of the types data, not file"
