"""Which of the schemas that live workers declare for a type counts. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from api_server.domain.handler_schema import HandlerSchema
from api_server.domain.schema_compatibility import narrowing


@dataclass(frozen=True, slots=True)
class SchemaChoice:
    """`schema`: the one that counts; None: payloads are not checked. `problem`: how the live workers differ;
    "": they agree.
    """

    schema: HandlerSchema | None
    problem: str = ""


def choose(schemas: Collection[HandlerSchema], *, some_have_none: bool) -> SchemaChoice:
    """`schemas`: of the live workers of one type. `some_have_none`: whether one of them declares none.

    A newer schema counts if it accepts what the one accepts that counted before. So a new worker never makes
    Create refuse what it accepted before, while the older workers live.
    """
    if not schemas:
        return SchemaChoice(None)
    if some_have_none:
        return SchemaChoice(
            None, "payloads are not checked, because some live workers have no schema for this type"
        )
    first, *others = sorted(schemas, key=lambda each: (each.registered_at, each.id))
    counting, refused = first, ""
    for each in others:
        problem = narrowing(each.payload, counting.payload)
        if problem:
            refused = problem
        else:
            counting, refused = each, ""
    if not others:
        return SchemaChoice(counting)
    how_many = f"live workers have {len(schemas)} schemas for this type"
    if refused:
        return SchemaChoice(
            counting, f"{how_many}; an older one counts, because the newest one accepts less: {refused}"
        )
    return SchemaChoice(counting, f"{how_many}; the newest one counts, because it accepts what the others do")
