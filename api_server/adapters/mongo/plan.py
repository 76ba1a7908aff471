"""How transitions become statements. Pure.

A batch is few statements: jobs that take the same step are changed together. Changing jobs one by one inside one
bulk_write costs mongod about twice as much per job, a statement of its own about 0.7 ms: so large groups go together,
and beyond MAX_STATEMENTS groups the small ones go one by one, in one bulk_write.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import UpdateMany, UpdateOne

from api_server.adapters.mongo.client import Document
from api_server.adapters.mongo.document_parts import encode_object, from_failure, from_id
from api_server.adapters.mongo.updates import guard_filter, update_many, update_one
from api_server.domain.job import Status
from api_server.domain.transition import Guard, Transition
from contract_runtime.value import value

MAX_STATEMENTS = 4
MAX_BYTES = 12 * 1024 * 1024
"""Of results and the like in one statement; MongoDB takes 16 MiB in all."""


@value
class StatusUpdate:
    """One transition, and the fields that only this job gets, encoded."""

    transition: Transition
    own: Mapping[str, Any]
    size: int


@value
class Statement:
    """`writes` go into one unordered bulk_write; together they match each job of `steps` once at most."""

    writes: list[UpdateOne | UpdateMany]
    steps: Sequence[StatusUpdate]


def encode_step(transition: Transition) -> StatusUpdate:
    """Raises InvalidArgument if the job's own fields cannot be stored."""
    own: Document = {}
    if transition.result is not None:
        own["result"] = encode_object("result", transition.result)
    if (failure := transition.failure) is not None:
        is_past = transition.change.status is Status.QUEUED
        own["error"] = encode_object("error", from_failure(failure.shortened() if is_past else failure))
    if transition.claim_id:
        own["claim_id"] = transition.claim_id
    if (call := transition.guard.call) is not None:
        own[call.name] = call.id
    if transition.next_attempt_time is not None:
        own["next_attempt_time"] = transition.next_attempt_time
    return StatusUpdate(
        transition, own, sum(len(v.raw) for v in own.values() if isinstance(v, RawBSONDocument))
    )


def plan(steps: Iterable[StatusUpdate]) -> list[Statement]:
    """Statements for all steps; each job stands there once."""
    groups: dict[Any, list[StatusUpdate]] = {}
    for step in steps:
        key = step.transition.guard, step.transition.change, tuple(step.own)
        groups.setdefault(key, []).append(step)
    largest_first = sorted(groups.values(), key=len, reverse=True)
    together = largest_first if len(groups) <= MAX_STATEMENTS else largest_first[: MAX_STATEMENTS - 1]
    one_by_one = [step for group in largest_first[len(together) :] for step in group]
    statements = [Statement([_for_all(part)], part) for group in together for part in _parts(group)]
    statements += [Statement([_for_one(step) for step in part], part) for part in _parts(one_by_one)]
    return statements


def _parts(steps: Sequence[StatusUpdate]) -> Iterator[list[StatusUpdate]]:
    """`steps` cut so that no part is above MAX_BYTES."""
    part: list[StatusUpdate] = []
    size = 0
    for step in steps:
        if part and size + step.size > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(step)
        size += step.size
    if part:
        yield part


def _for_one(step: StatusUpdate) -> UpdateOne:
    guard = step.transition.guard
    where = {"_id": from_id(step.transition.job_id), **guard_filter(guard)}
    return UpdateOne(where, update_one(step.transition.change, step.own), hint=_hint(guard))


def _for_all(steps: Sequence[StatusUpdate]) -> UpdateOne | UpdateMany:
    first = steps[0]
    if len(steps) == 1:
        return _for_one(first)
    ids = [from_id(step.transition.job_id) for step in steps]
    guard = first.transition.guard
    where = {"_id": {"$in": ids}, **guard_filter(guard)}
    own = {name: [step.own[name] for step in steps] for name in first.own}
    return UpdateMany(where, update_many(first.transition.change, ids, own), hint=_hint(guard))


def _hint(guard: Guard) -> Any:
    """By id: of a filter that has a due_time too, MongoDB might think otherwise."""
    return None if guard.lease_over_at is None else [("_id", 1)]
