"""A guard as a filter, and a change as an update. Pure.

A plain change is an update document. Two kinds of change are pipelines:

- A change of several jobs that have fields of their own. The position of a job's id finds its values.
- A change that queues a job again. It reads the document: the attempt, which goes into the history, and the
  expire_time, which limits `due_time`.

In a pipeline, all data from users is inside $literal, where "$" and "." have no meaning.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bson.binary import Binary

from api_server.adapters.mongo.client import Document
from api_server.domain.attempt import MAX_ATTEMPTS, MAX_LONE_LOSSES, MAX_PAST_MESSAGE, Outcome
from api_server.domain.job import Status
from api_server.domain.transition import NO_WORKER, Change, Guard

Expression = Any
"""A value in a pipeline."""


def guard_filter(guard: Guard) -> Document:
    """The guard as a filter."""
    statuses = [status.value for status in guard.statuses]
    where: Document = {"status": statuses[0] if len(statuses) == 1 else {"$in": statuses}}
    if guard.type is not None:
        where["type"] = guard.type
    if guard.attempt is not None:
        where["attempt"] = guard.attempt
    where |= {
        name: value or {"$exists": False}
        for name, value in (
            ("worker_id", guard.worker_id),
            ("failures", guard.failures),
            ("alone", guard.alone),
        )
        if value is not None
    }
    if guard.call is not None:
        where[guard.call.name] = {"$ne": guard.call.id}
    if guard.unexpired_at is not None:
        where["expire_time"] = {"$not": {"$lte": guard.unexpired_at}}
    if guard.expired_at is not None:
        where["expire_time"] = {"$lte": guard.expired_at}
        # A scan that began before the job was stored must not end it at a time before its creation. The next
        # scan ends it.
        where["update_time"] = {"$lte": guard.expired_at}
    if guard.startable_at is not None:
        where["next_attempt_time"] = {"$not": {"$gt": guard.startable_at}}
    if guard.lease_over_at is not None:
        where["due_time"] = {"$lt": guard.lease_over_at}
    return where


def update_one(change: Change, own: Mapping[str, Any]) -> Document | list[Document]:
    """The change of one job, and the fields `own` that it gets."""
    if change.status is Status.QUEUED:
        return _pipeline(change, {name: {"$literal": value} for name, value in own.items()})
    fields, absent, added = _fields(change)
    return {"$set": {**fields, **own}, "$unset": dict.fromkeys(absent, ""), "$inc": added}


def update_many(
    change: Change, ids: Sequence[Binary], own: Mapping[str, Sequence[Any]]
) -> Document | list[Document]:
    """The change of the jobs `ids`. `own`: for each field, the values of these jobs in the same order."""
    if not own:
        return update_one(change, {})
    position = {"$indexOfArray": [{"$literal": list(ids)}, "$_id"]}
    return _pipeline(
        change, {name: {"$arrayElemAt": [{"$literal": list(each)}, position]} for name, each in own.items()}
    )


def _pipeline(change: Change, own: Mapping[str, Expression]) -> list[Document]:
    fields, absent, added = _fields(change)
    values: Document = {name: {"$literal": value} for name, value in fields.items()}
    values |= {name: {"$add": [{"$ifNull": [f"${name}", 0]}, number]} for name, number in added.items()}
    values |= own
    if change.status is Status.QUEUED:
        error = values.pop("error", None)
        values["history"] = _history(change, error)
        due_time = values.get("next_attempt_time", values["due_time"])
        # $min ignores a missing field.
        values["due_time"] = {"$min": [due_time, values.get("expire_time", "$expire_time")]}
        if change.starts_over:
            # The job will end again, which is another event.
            is_notified = {"$ne": [{"$type": "$notify"}, "missing"]}
            values["unnotified"] = {"$cond": [is_notified, True, "$$REMOVE"]}
    return [{"$set": values}, {"$unset": [name for name in absent if name not in values]}]


def _history(change: Change, error: Expression | None) -> Expression:
    """The history, with the present attempt appended if there is one.

    A job that ended while it waited has none.
    """
    entry: Document = {
        "attempt": "$attempt",
        "worker_id": "$worker_id",
        "start_time": "$start_time",
        # A job that is retried after its end has an end_time already.
        "end_time": {"$ifNull": ["$end_time", {"$literal": change.update_time}]},
        "outcome": _how_it_ended() if change.ended is None else {"$literal": change.ended.value},
    }
    if error is not None:
        entry["error"] = error
    elif change.ended is None:
        entry["error"] = _error_at_the_end()
    has_present = {"$ne": [{"$type": {"$ifNull": ["$worker_id", "$claim_id"]}}, "missing"]}
    past = {"$ifNull": ["$history", []]}
    both = {"$concatArrays": [past, {"$cond": [has_present, [entry], []]}]}
    return {"$slice": [both, -MAX_ATTEMPTS]}


def _how_it_ended() -> Expression:
    """The present attempt's outcome in a job that failed or was cancelled, as in Job.history."""
    poisoned = {"$gte": [{"$ifNull": ["$lone_losses", 0]}, MAX_LONE_LOSSES]}
    failed = {"$cond": [poisoned, Outcome.LOST.value, Outcome.ERRORED.value]}
    return {"$cond": [{"$eq": ["$status", Status.CANCELLED.value]}, Outcome.CANCELLED.value, failed]}


def _error_at_the_end() -> Expression:
    """The shortened error of the present attempt; no field if its outcome is not `errored`."""
    message = {"$substrCP": ["$error.message", 0, MAX_PAST_MESSAGE]}
    cut = {"code": "$error.code", "message": message, "reason": "$error.reason"}
    errored = {"$and": [{"$gt": ["$error", None]}, {"$eq": [_how_it_ended(), Outcome.ERRORED.value]}]}
    return {"$cond": [errored, cut, "$$REMOVE"]}


def _fields(change: Change) -> tuple[Document, list[str], dict[str, int]]:
    """Fields to set, to remove and to add to."""
    fields = {
        "status": change.status.value,
        "update_time": change.update_time,
        "due_time": change.due_time,
        "worker_id": change.worker_id or None,
        "start_time": change.start_time,
        "end_time": change.end_time,
        "expire_time": change.expire_time,
        "alone": change.alone or None,
    }
    removed = {
        # Records that were published before a change of status do not count after it.
        "dispatches": True,
        "record": True,
        "next_attempt_time": True,
        "due_time": change.due_time is None,
        "worker_id": change.worker_id == NO_WORKER,
        "claim_id": change.status is Status.QUEUED,
        "alone": change.status is Status.QUEUED or change.alone is False,
        "progress": change.adds_attempt or change.starts_over,
        **dict.fromkeys(("failures", "losses", "lone_losses", "error", "end_time"), change.starts_over),
    }
    added = {
        "revision": True,
        "attempt": change.adds_attempt,
        "failures": change.adds_failure,
        "losses": change.adds_loss,
        "lone_losses": change.adds_lone_loss,
    }
    return (
        {name: value for name, value in fields.items() if value is not None},
        [name for name, is_removed in removed.items() if is_removed],
        {name: 1 for name, is_added in added.items() if is_added},
    )
