"""The schemas of the handlers of live workers, from memory: the check of a new job costs no read."""

import asyncio
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import structlog

from api_server.domain.handler_schema import HandlerSchema
from api_server.domain.payload_size import size_or_least
from api_server.domain.schema_choice import SchemaChoice, choose
from api_server.domain.schema_parts import UnusableSchema
from api_server.schema_ports import CompileSchema, PayloadCheck, PayloadValidator, SchemaStore
from contract_runtime.errors import InvalidArgument

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A schema that a live worker has. `validator` None: it cannot be used; `problem` says why."""

    schema: HandlerSchema
    validator: PayloadValidator | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TypeSchema:
    """What counts for a type. `validator` None: every payload is accepted."""

    choice: SchemaChoice
    validator: PayloadValidator | None = None


NO_SCHEMA = TypeSchema(SchemaChoice(None))


class PayloadSchemas(PayloadCheck):
    """`learn` is called again and again with what live workers have."""

    def __init__(self, store: SchemaStore, compile_schema: CompileSchema) -> None:
        self._store = store
        self._compile = compile_schema
        self._live: Mapping[str, AbstractSet[str]] = {}
        self._known: dict[str, _Compiled] = {}
        """By id, those that live workers have."""
        self._types: Mapping[str, TypeSchema] = {}
        self.checked: Mapping[str, Mapping[str, Any]] = {}
        """The schemas that payloads are checked against, by type. The same object until they change."""

    def check(
        self, job_type: str, payload: Mapping[str, Any], size: int | None, *, explained: bool = True
    ) -> None:
        found = self._types.get(job_type)
        if found is None or found.validator is None:
            return
        size = size_or_least(size, payload)
        if violations := found.validator.violations(payload, size, explained=explained):
            raise InvalidArgument(violations)

    def of(self, job_type: str) -> SchemaChoice:
        """What counts for this type now."""
        return self._types.get(job_type, NO_SCHEMA).choice

    async def learn(self, live: Mapping[str, AbstractSet[str]]) -> None:
        """`live`: the types of live workers, each with the ids of its schemas; "": a worker has none.

        Raises StoreUnavailable; then the next call continues.
        """
        if live == self._live:
            return
        await self._read({each for ids in live.values() for each in ids if each})
        before = self._types
        self._types = await asyncio.to_thread(self._chosen, live)
        self.checked = _checked(self._types)
        self._live = live
        for job_type in sorted(before.keys() | self._types.keys()):
            _log_change(job_type, before.get(job_type, NO_SCHEMA), self._types.get(job_type, NO_SCHEMA))

    async def _read(self, ids: Collection[str]) -> None:
        """Makes `_known` have the schemas with these ids and no others."""
        known = {each: self._known[each] for each in ids if each in self._known}
        if missing := [each for each in ids if each not in known]:
            for schema in await self._store.read(missing):
                # Not on the loop: a hostile schema can take long.
                known[schema.id] = await asyncio.to_thread(self._compiled, schema)
        self._known = known

    def _compiled(self, schema: HandlerSchema) -> _Compiled:
        if not schema.payload_text:
            return _Compiled(schema, None)
        try:
            return _Compiled(schema, self._compile(schema.payload))
        except UnusableSchema as error:
            return _Compiled(schema, None, f"payloads are not checked: {error}")

    def _chosen(self, live: Mapping[str, AbstractSet[str]]) -> Mapping[str, TypeSchema]:
        types = {}
        for job_type, ids in live.items():
            # A schema that is not stored, because there are too many, counts as none.
            found = [self._known[each] for each in sorted(ids) if each in self._known]
            if found:
                types[job_type] = _chosen_of(found, some_have_none=len(found) < len(ids))
        return types


def _chosen_of(found: Collection[_Compiled], *, some_have_none: bool) -> TypeSchema:
    if unusable := next((each for each in found if each.problem), None):
        # The schema is shown all the same.
        return TypeSchema(SchemaChoice(unusable.schema, unusable.problem))
    choice = choose([each.schema for each in found], some_have_none=some_have_none)
    validator = next((each.validator for each in found if each.schema is choice.schema), None)
    return TypeSchema(choice, validator)


def _checked(types: Mapping[str, TypeSchema]) -> Mapping[str, Mapping[str, Any]]:
    return {
        job_type: each.choice.schema.payload
        for job_type, each in types.items()
        if each.choice.schema and each.validator
    }


def _log_change(job_type: str, before: TypeSchema, now: TypeSchema) -> None:
    if now.choice == before.choice:
        return
    schema = now.choice.schema
    fields = {"type": job_type, "schema": schema and schema.id[:12]}
    if now.choice.problem:
        log.warning("schemas_differ", **fields, problem=now.choice.problem)
    else:
        log.info("schema_counts", **fields)
