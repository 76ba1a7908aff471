"""Operations on many jobs: the OperationStore.

The fields of a document in `operations` are those of domain.operation.Operation, and:

is_unfinished     true until the operation has ended, then absent; the index of unfinished operations has it
expire_time       once it has ended: when MongoDB deletes the document
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from pymongo.errors import DuplicateKeyError

from api_server.adapters.mongo.client import Collection, Document
from api_server.adapters.mongo.document_parts import from_labels, to_labels
from api_server.adapters.mongo.indexes import BY_UNFINISHED
from api_server.adapters.mongo.reads import Reads
from api_server.adapters.mongo.writes import Writes, resend
from api_server.domain.job import Status
from api_server.domain.listing import JobCount, JobFilter
from api_server.domain.operation import (
    MAX_REFUSALS,
    Batch,
    Kind,
    Operation,
    OperationPage,
    Refusal,
    State,
)

KEPT = timedelta(days=7)
"""How long an operation is kept after its end."""
T = TypeVar("T")


class MongoOperationStore:
    """See api_server.operations.ports.OperationStore."""

    def __init__(self, operations: Collection, reads: Reads, writes: Writes) -> None:
        self._operations = operations
        self._reads = reads
        self._writes = writes

    async def insert(self, operation: Operation) -> None:
        document = _from_operation(operation)

        async def insert_once() -> None:
            # An earlier sending may have stored it.
            with suppress(DuplicateKeyError):
                await self._operations.insert_one(dict(document))

        await self._write(insert_once)

    async def get(self, operation_id: UUID) -> Operation | None:
        found = await self._reads.run(partial(self._operations.find_one, {"_id": operation_id}))
        return None if found is None else _to_operation(found)

    async def get_all(self, operation_ids: Sequence[UUID]) -> list[Operation | None]:
        where = {"_id": {"$in": list(set(operation_ids))}}

        async def read() -> dict[UUID, Operation]:
            cursor = self._operations.find(where, {"batch": 0})
            return {each["_id"]: _to_operation(each) async for each in cursor}

        found = await self._reads.run(read)
        return [found.get(each) for each in operation_ids]

    async def page(self, after: UUID | None, size: int) -> OperationPage:
        where = {} if after is None else {"_id": {"$lt": after}}

        async def read() -> list[Document]:
            cursor = self._operations.find(where, {"refusals": 0, "batch": 0}).sort("_id", -1)
            found: list[Document] = await cursor.limit(size + 1).to_list(size + 1)
            return found

        operations = list(map(_to_operation, await self._reads.run(read)))
        next_after = operations[size - 1].id if len(operations) > size else None
        return OperationPage(operations[:size], next_after)

    async def count_unfinished(self, limit: int) -> int:
        count: int = await self._reads.run(
            lambda: self._operations.count_documents({"is_unfinished": True}, limit=limit, hint=BY_UNFINISHED)
        )
        return count

    async def next_unfinished(self) -> Operation | None:
        found = await self._reads.run(
            lambda: self._operations.find_one({"is_unfinished": True}, sort=[("_id", 1)], hint=BY_UNFINISHED)
        )
        return None if found is None else _to_operation(found)

    async def begin_batch(self, operation: Operation, batch: Batch, now: datetime) -> bool:
        where = {**_as_read(operation), "is_unfinished": True, "batch": {"$exists": False}}
        stored = {"job_ids": list(batch.job_ids), "next_after": batch.next_after}
        return await self._change(
            where, {"$set": {"batch": stored, "state": State.RUNNING.value, "update_time": now}}
        )

    async def end_batch(
        self, operation: Operation, batch: Batch, refusals: Sequence[Refusal], now: datetime
    ) -> None:
        progress: Document = {"update_time": now}
        progress |= {"has_tried_all": True} if batch.next_after is None else {"after": batch.next_after}
        listed = {"$each": [refusal._asdict() for refusal in refusals], "$slice": MAX_REFUSALS}
        # An operation that was ended meanwhile counts this batch too.
        await self._change(
            {**_as_read(operation), "batch": {"$exists": True}},
            {
                "$set": progress,
                "$unset": {"batch": ""},
                "$inc": {"changed": len(batch.job_ids) - len(refusals), "refused": len(refusals)},
                "$push": {"refusals": listed},
            },
        )

    async def end(self, operation_id: UUID, state: State, now: datetime) -> None:
        times = {"update_time": now, "end_time": now, "expire_time": now + KEPT}
        await self._change(
            {"_id": operation_id, "is_unfinished": True},
            {"$set": {"state": state.value, **times}, "$unset": {"is_unfinished": ""}},
        )

    async def _change(self, where: Document, update: Document) -> bool:
        """Whether the operation was as `where` says. False also if an earlier sending has changed it."""
        answer = await self._write(partial(self._operations.update_one, where, update))
        return bool(answer.matched_count)

    async def _write(self, send: Callable[[], Awaitable[T]]) -> T:
        return await self._writes.run(partial(resend, send))


def _as_read(operation: Operation) -> Document:
    """The condition that no batch has been counted since the operation was read."""
    return {"_id": operation.id, "after": operation.after, "has_tried_all": False}


def _from_operation(operation: Operation) -> Document:
    """A new operation."""
    return {
        "_id": operation.id,
        "kind": operation.kind.value,
        "wanted": _from_filter(operation.wanted),
        "reason": operation.reason,
        "create_time": operation.create_time,
        "update_time": operation.update_time,
        "matched": operation.matched.count,
        "is_capped": operation.matched.is_capped,
        "state": operation.state.value,
        "changed": 0,
        "refused": 0,
        "refusals": [],
        "after": None,
        "has_tried_all": False,
        "is_unfinished": True,
    }


def _to_operation(document: Mapping[str, Any]) -> Operation:
    batch = document.get("batch")
    return Operation(
        id=document["_id"],
        kind=Kind(document["kind"]),
        wanted=_to_filter(document["wanted"]),
        reason=document["reason"],
        create_time=document["create_time"],
        update_time=document["update_time"],
        matched=JobCount(document["matched"], document["is_capped"]),
        state=State(document["state"]),
        end_time=document.get("end_time"),
        changed=document["changed"],
        refused=document["refused"],
        refusals=tuple(Refusal(**refusal) for refusal in document.get("refusals", ())),
        after=document["after"],
        batch=None if batch is None else Batch(tuple(batch["job_ids"]), batch["next_after"]),
        has_tried_all=document["has_tried_all"],
    )


def _from_filter(wanted: JobFilter) -> Document:
    """The conditions that are set. Times are text, because BSON has only milliseconds."""
    stored: Document = {}
    for each in fields(wanted):
        match getattr(wanted, each.name):
            case frozenset() as values if values:
                stored[each.name] = sorted(values)
            case datetime() as time:
                stored[each.name] = time.isoformat()
            case Mapping() as labels if labels:
                stored[each.name] = from_labels(labels)
    return stored


def _to_filter(stored: Mapping[str, Any]) -> JobFilter:
    values: Document = {}
    for name, value in stored.items():
        if name == "labels":
            values[name] = to_labels(value)
        elif isinstance(value, str):
            values[name] = datetime.fromisoformat(value)
        else:
            values[name] = frozenset(map(Status, value) if name == "statuses" else value)
    return JobFilter(**values)
