"""What a server stores of tokens, and whose token it takes."""

import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.credentials import TOKEN
from contract_runtime.roles import Role
from service_runtime.access.principal import Principal
from service_runtime.access.tokens import (
    StoredToken,
    WrongTokens,
    added_line,
    new_token,
    parse,
    principal_of,
    revoked_line,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ANN = Principal("ann", Role.SUBMITTER)


def made(principal: Principal = ANN, expire_time: datetime | None = None) -> tuple[str, StoredToken]:
    return new_token(lambda _: principal, NOW, expire_time)


def test_a_stored_token_names_its_principal() -> None:
    worker = Principal("w", Role.WORKER, frozenset({"data", "file"}))
    token, stored = made(worker, NOW + SECOND)
    tokens = parse(added_line(stored))
    assert tokens == {stored.id: stored}
    assert principal_of(token, tokens, NOW) == worker


def test_a_line_has_nothing_of_the_secret() -> None:
    token, stored = made()
    found = TOKEN.fullmatch(token)
    assert found
    assert found[2] not in added_line(stored)


def test_a_token_is_valid_until_its_expire_time() -> None:
    token, stored = made(expire_time=NOW + SECOND)
    tokens = {stored.id: stored}
    assert principal_of(token, tokens, NOW + SECOND - timedelta(microseconds=1)) == ANN
    assert principal_of(token, tokens, NOW + SECOND) is None


def test_a_revoked_token_is_not_valid() -> None:
    (token, stored), (other, kept) = made(), made()
    lines = added_line(stored), added_line(kept), revoked_line(stored.id, NOW)
    tokens = parse("\n".join(lines))
    assert principal_of(token, tokens, NOW) is None
    assert principal_of(other, tokens, NOW) == ANN


def test_the_line_that_revokes_a_deleted_token_is_ignored() -> None:
    _, stored = made()
    assert parse(revoked_line(stored.id, NOW)) == {}


@given(st.integers(0, 42), st.sampled_from(string.ascii_letters + string.digits + "_-"))
def test_a_token_with_another_secret_is_not_valid(at: int, character: str) -> None:
    token, stored = made()
    begin = len(token) - 43 + at
    changed = token[:begin] + character + token[begin + 1 :]
    assert (principal_of(changed, {stored.id: stored}, NOW) == ANN) == (changed == token)


@given(st.text(st.characters(codec="ascii"), max_size=80))
def test_text_that_is_no_token_is_not_valid(text: str) -> None:
    _, stored = made()
    assert principal_of(text, {stored.id: stored}, NOW) is None


WRONG = [
    "text",
    "[]",
    "1",
    "null",
    "{}",
    '{"id": "x"}',
    '{"id": 1, "revoke_time": "2026-01-01"}',
    '{"id": [], "revoke_time": "2026-01-01T00:00:00Z"}',
]
FIELDS = [
    ("id", "short"),
    ("sha256", "00"),
    ("role", "admin"),
    ("name", "with space"),
    ("types", "data"),
    ("types", ["Data"]),
    ("types", ["data\n"]),
    ("create_time", "yesterday"),
    ("expire_time", "2026-01-01T00:00:00"),
    ("expire_time", "0001-01-01T00:00:00+14:00"),
]


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_line_is_named_by_its_number(line: str) -> None:
    _, stored = made()
    with pytest.raises(WrongTokens, match="line 3 is not a token"):
        parse(f"{added_line(stored)}\n\n{line}")


@pytest.mark.parametrize(("field", "value"), FIELDS)
def test_a_wrong_field_makes_the_line_wrong(field: str, value: object) -> None:
    import json

    _, stored = made()
    with pytest.raises(WrongTokens, match="line 1"):
        parse(json.dumps({**json.loads(added_line(stored)), field: value}))


def test_an_id_occurs_once() -> None:
    _, stored = made()
    with pytest.raises(WrongTokens, match="line 2"):
        parse(f"{added_line(stored)}\n{added_line(stored)}")


@given(st.text())
def test_any_text_is_tokens_or_wrong(text: str) -> None:
    try:
        tokens = parse(text)
    except WrongTokens:
        return
    assert tokens == {}
