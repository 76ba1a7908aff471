"""Which schema counts, and how new jobs are checked against it, from memory."""

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from api_server.adapters.json_schema import compile_schema
from api_server.domain.errors import StoreUnavailable
from api_server.domain.handler_schema import HandlerSchema
from api_server.services.payload_schemas import PayloadSchemas
from contract_runtime.errors import InvalidArgument

START = datetime(2026, 1, 1, tzinfo=UTC)
NONE = ""


def schema(day: int, text: Any = None, *, required: Sequence[str] = (), result: Any = None) -> HandlerSchema:
    payload = text or {"type": "object", "properties": {"a": {"type": "string"}}, "required": list(required)}
    return HandlerSchema(
        "x", json.dumps(payload), json.dumps(result) if result else "", START + timedelta(days=day)
    )


OPEN, STRICT = schema(1), schema(2, required=["a"])


class Store:
    """Counts its reads."""

    def __init__(self, *schemas: HandlerSchema) -> None:
        self.schemas = {each.id: each for each in schemas}
        self.reads: list[set[str]] = []
        self.fails = False

    async def add(self, schemas: Sequence[HandlerSchema]) -> None:
        raise NotImplementedError

    async def read(self, ids: Collection[str]) -> Sequence[HandlerSchema]:
        if self.fails:
            raise StoreUnavailable
        self.reads.append(set(ids))
        return [self.schemas[each] for each in ids if each in self.schemas]


def accepts(schemas: PayloadSchemas, payload: dict[str, Any], job_type: str = "x") -> bool:
    try:
        schemas.check(job_type, payload, None)
    except InvalidArgument:
        return False
    return True


async def learned(*live: HandlerSchema, also_none: bool = False) -> PayloadSchemas:
    schemas = PayloadSchemas(Store(*live), compile_schema)
    await schemas.learn({"x": {each.id for each in live} | ({NONE} if also_none else set())})
    return schemas


async def test_a_payload_is_checked_against_the_schema_of_its_type() -> None:
    schemas = await learned(STRICT)
    assert accepts(schemas, {"a": "x"})
    assert accepts(schemas, {}, "other")
    with pytest.raises(InvalidArgument) as refusal:
        schemas.check("x", {"a": 1}, 10)
    assert refusal.value.violations == (("payload.a", "schema.type", "must be of type string, is a number"),)


async def test_nothing_is_read_twice_and_the_type_of_a_lost_worker_is_not_checked() -> None:
    store = Store(STRICT, OPEN)
    schemas = PayloadSchemas(store, compile_schema)
    for _ in range(3):
        await schemas.learn({"x": {STRICT.id}, "y": {NONE}})
    await schemas.learn({"x": {STRICT.id, OPEN.id}})
    assert store.reads == [{STRICT.id}, {OPEN.id}]
    await schemas.learn({})
    assert accepts(schemas, {})
    assert schemas.of("x").schema is None


async def test_the_newest_schema_counts_if_it_accepts_what_the_older_one_accepts() -> None:
    old, new = schema(1, required=["a"]), schema(2)
    schemas = await learned(new, old)
    assert schemas.of("x").schema == new
    assert schemas.of("x").problem == (
        "live workers have 2 schemas for this type; the newest one counts, "
        "because it accepts what the others do"
    )
    assert accepts(schemas, {})


async def test_an_older_schema_counts_until_its_workers_are_gone() -> None:
    store = Store(OPEN, STRICT)
    schemas = PayloadSchemas(store, compile_schema)
    with capture_logs() as lines:
        await schemas.learn({"x": {OPEN.id, STRICT.id}})
        assert accepts(schemas, {})
        await schemas.learn({"x": {STRICT.id}})
    assert not accepts(schemas, {})
    problem = (
        "live workers have 2 schemas for this type; an older one counts, "
        "because the newest one accepts less: payload.a: is required now"
    )
    assert [(line["event"], line.get("problem")) for line in lines] == [
        ("schemas_differ", problem),
        ("schema_counts", None),
    ]


@pytest.mark.parametrize("day", [1, 3])
async def test_a_worker_without_a_schema_takes_every_payload(day: int) -> None:
    schemas = await learned(schema(day, required=["a"]), also_none=True)
    assert accepts(schemas, {"a": 1})
    assert "some live workers have no schema" in schemas.of("x").problem


async def test_a_schema_that_is_not_stored_counts_as_none() -> None:
    schemas = PayloadSchemas(Store(STRICT), compile_schema)
    await schemas.learn({"x": {STRICT.id, OPEN.id}})
    assert accepts(schemas, {})


async def test_a_schema_that_cannot_be_used_is_shown_with_the_reason() -> None:
    wrong = schema(1, {"$ref": "http://127.0.0.1:1/x"})
    schemas = await learned(wrong)
    assert accepts(schemas, {"a": 1})
    assert schemas.of("x").schema == wrong
    assert schemas.of("x").problem.startswith("payloads are not checked: $ref must name a definition")


async def test_a_handler_that_declares_only_its_result_takes_every_payload() -> None:
    only_result = HandlerSchema("x", "", '{"type":"object"}')
    schemas = await learned(only_result)
    assert accepts(schemas, {"a": 1})
    assert schemas.of("x").schema == only_result
    assert schemas.of("x").problem == ""


async def test_a_failed_read_changes_nothing_and_is_repeated() -> None:
    store = Store(STRICT, OPEN)
    schemas = PayloadSchemas(store, compile_schema)
    await schemas.learn({"x": {STRICT.id}})
    store.fails = True
    with pytest.raises(StoreUnavailable):
        await schemas.learn({"x": {OPEN.id}})
    assert not accepts(schemas, {})
    store.fails = False
    await schemas.learn({"x": {OPEN.id}})
    assert accepts(schemas, {})
