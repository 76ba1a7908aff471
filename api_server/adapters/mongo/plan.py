"""Plans the statements for a batch of transitions. Pure.

Jobs with an equal guard and change are a group, which one statement can change. In a bulk_write with one
update for each job, mongod spends about twice as much on each job; a separate statement costs about 0.7 ms.
So large groups have a statement each, and beyond MAX_STATEMENTS groups the jobs of the small ones share a
bulk_write with one update each.
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
"""Bytes of results and errors in one statement. MongoDB accepts 16 MiB in all."""


@value
class EncodedTransition:
    """One transition, and the fields (`own`) that only this job gets, encoded. `size`: their bytes."""

    transition: Transition
    own: Mapping[str, Any]
    size: int


@value
class Statement:
    """The updates of one unordered bulk_write. They match each job of `transitions` at most once."""

    writes: list[UpdateOne | UpdateMany]
    transitions: Sequence[EncodedTransition]


def encode(transition: Transition) -> EncodedTransition:
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
    size = sum(len(value.raw) for value in own.values() if isinstance(value, RawBSONDocument))
    return EncodedTransition(transition, own, size)


def plan(transitions: Iterable[EncodedTransition]) -> list[Statement]:
    """Statements for all transitions, which must be of different jobs."""
    groups: dict[Any, list[EncodedTransition]] = {}
    for each in transitions:
        transition = each.transition
        key = transition.guard, transition.change, tuple(each.own), bool(transition.content_digest)
        groups.setdefault(key, []).append(each)
    largest_first = sorted(groups.values(), key=len, reverse=True)
    together = largest_first if len(groups) <= MAX_STATEMENTS else largest_first[: MAX_STATEMENTS - 1]
    one_by_one = [each for group in largest_first[len(together) :] for each in group]
    statements = [Statement([_for_all(part)], part) for group in together for part in _parts(group)]
    statements += [Statement([_for_one(each) for each in part], part) for part in _parts(one_by_one)]
    return statements


def _parts(transitions: Sequence[EncodedTransition]) -> Iterator[list[EncodedTransition]]:
    """`transitions` in parts of at most MAX_BYTES."""
    part: list[EncodedTransition] = []
    size = 0
    for each in transitions:
        if part and size + each.size > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(each)
        size += each.size
    if part:
        yield part


def write_of_one(encoded: EncodedTransition) -> Document:
    """The keyword arguments of UpdateOne, or of another call that updates one document."""
    guard = encoded.transition.guard
    where = {"_id": from_id(encoded.transition.job_id), **guard_filter(guard)}
    if encoded.transition.content_digest:
        where["content_digest"] = encoded.transition.content_digest
    return {
        "filter": where,
        "update": update_one(encoded.transition.change, encoded.own),
        "hint": _hint(guard),
    }


def _for_one(encoded: EncodedTransition) -> UpdateOne:
    return UpdateOne(**write_of_one(encoded))


def _for_all(group: Sequence[EncodedTransition]) -> UpdateOne | UpdateMany:
    first = group[0]
    if len(group) == 1:
        return _for_one(first)
    ids = [from_id(each.transition.job_id) for each in group]
    guard = first.transition.guard
    where: Document = {"_id": {"$in": ids}, **guard_filter(guard)}
    if first.transition.content_digest:
        # A digest contains the id of its job. So one of the list that fits a job is the digest for this job.
        where["content_digest"] = {"$in": [each.transition.content_digest for each in group]}
    own = {name: [each.own[name] for each in group] for name in first.own}
    return UpdateMany(where, update_many(first.transition.change, ids, own), hint=_hint(guard))


def _hint(guard: Guard) -> Any:
    """Use the index of `_id`: for a filter with a due_time, MongoDB might choose another one."""
    return None if guard.lease_over_at is None else [("_id", 1)]
