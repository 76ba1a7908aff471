"""How transitions become statements. Pure.

A batch is few statements: jobs that take the same step are changed together. Changing jobs one by one inside one
bulk_write costs mongod about twice as much per job, a statement of its own about 0.7 ms: so large groups go together,
and beyond MAX_STATEMENTS groups the small ones go one by one, in one bulk_write.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pymongo import UpdateMany, UpdateOne

from api_server.adapters.mongo_client import Document
from api_server.adapters.mongo_documents import encode_object, from_failure
from api_server.domain.job import Status
from api_server.domain.transitions import Change, Guard, Transition

MAX_STATEMENTS = 4
MAX_BYTES = 12 * 1024 * 1024
"""Of results and the like in one statement; MongoDB takes 16 MiB in all."""


@dataclass(frozen=True, slots=True)
class Step:
    """One transition, and the fields that only this job gets, encoded."""

    transition: Transition
    own: Mapping[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class Statement:
    """`writes` go into one unordered bulk_write; together they match each job of `steps` once at most."""

    writes: list[UpdateOne | UpdateMany]
    steps: Sequence[Step]


def encode_step(transition: Transition) -> Step:
    """Raises InvalidArgument if the job's own fields cannot be stored."""
    own: Document = {}
    if transition.result is not None:
        own["result"] = encode_object("result", transition.result)
    if transition.failure is not None:
        own["error"] = encode_object("error", from_failure(transition.failure))
    if transition.claim_id:
        own["claim_id"] = transition.claim_id
    return Step(transition, own, sum(len(v) if isinstance(v, str) else len(v.raw) for v in own.values()))


def plan(steps: Iterable[Step]) -> list[Statement]:
    """Statements for all steps; each job stands there once."""
    groups: dict[Any, list[Step]] = {}
    for step in steps:
        key = step.transition.guard, step.transition.change, frozenset(step.own)
        groups.setdefault(key, []).append(step)
    largest_first = sorted(groups.values(), key=len, reverse=True)
    together = largest_first if len(groups) <= MAX_STATEMENTS else largest_first[: MAX_STATEMENTS - 1]
    one_by_one = [step for group in largest_first[len(together) :] for step in group]
    statements = [Statement([_for_all(part)], part) for group in together for part in _parts(group)]
    statements += [Statement([_for_one(step) for step in part], part) for part in _parts(one_by_one)]
    return statements


def _parts(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """`steps` cut so that no part is above MAX_BYTES."""
    part: list[Step] = []
    size = 0
    for step in steps:
        if part and size + step.size > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(step)
        size += step.size
    if part:
        yield part


def _for_one(step: Step) -> UpdateOne:
    transition = step.transition
    where = {"_id": transition.job_id, **guard_filter(transition.guard)}
    return UpdateOne(where, change_update(transition.change, step.own))


def _for_all(steps: Sequence[Step]) -> UpdateOne | UpdateMany:
    first = steps[0]
    if len(steps) == 1:
        return _for_one(first)
    ids = [step.transition.job_id for step in steps]
    where = {"_id": {"$in": ids}, **guard_filter(first.transition.guard)}
    if not first.own:
        return UpdateMany(where, change_update(first.transition.change))
    own = {name: [step.own[name] for step in steps] for name in first.own}
    return UpdateMany(where, _change_pipeline(first.transition.change, ids, own))


def guard_filter(guard: Guard) -> Document:
    """The guard as a filter."""
    where: Document = {"status": guard.status.value}
    if guard.type is not None:
        where["type"] = guard.type
    if guard.attempt is not None:
        where["attempt"] = guard.attempt
    if guard.worker_id is not None:
        where["worker_id"] = guard.worker_id or {"$exists": False}
    return where


def change_update(change: Change, own: Mapping[str, Any] | None = None) -> Document:
    """The change as an update document."""
    fields, absent, added = _change_fields(change)
    return {"$set": {**fields, **(own or {})}, "$unset": dict.fromkeys(absent, ""), "$inc": added}


def _change_pipeline(change: Change, ids: Sequence[UUID], own: Mapping[str, Sequence[Any]]) -> list[Document]:
    """The change as a pipeline that finds each job's own fields by the position of its id.

    Whatever users write stands inside $literal, where "$" and "." mean nothing.
    """
    fields, absent, added = _change_fields(change)
    position = {"$indexOfArray": [{"$literal": list(ids)}, "$_id"]}
    values: Document = {name: {"$literal": value} for name, value in fields.items()}
    values |= {name: {"$add": [f"${name}", number]} for name, number in added.items()}
    values |= {name: {"$arrayElemAt": [{"$literal": list(each)}, position]} for name, each in own.items()}
    return [{"$set": values}, {"$unset": absent}]


def _change_fields(change: Change) -> tuple[Document, list[str], dict[str, int]]:
    """Fields to set, to remove and to add to."""
    wanted = {
        "status": change.status.value,
        "update_time": change.update_time,
        "due_time": change.due_time,
        "worker_id": change.worker_id or None,
    }
    fields = {name: value for name, value in wanted.items() if value is not None}
    absent = [name for name, value in wanted.items() if value is None]
    if change.start_time is not None:
        fields["start_time"] = change.start_time
    if change.end_time is not None:
        fields["end_time"] = change.end_time
    # Records published for the status that ends here say nothing about the next one.
    absent.append("dispatches")
    if change.status is Status.QUEUED:
        absent.append("claim_id")
    added = {"revision": 1, "attempt": 1} if change.adds_attempt else {"revision": 1}
    return fields, absent, added
