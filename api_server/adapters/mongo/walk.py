"""Plans how the jobs that a filter selects are found: which index is walked, and what is checked. Pure.

    filter by labels                          (labels, _id), by one of the labels
    only failed or cancelled jobs can match   (status, _id)
    everything else                           _id

MongoDB checks all other conditions on the documents.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from bson.datetime_ms import DatetimeMS

from api_server.adapters.mongo.client import Document
from api_server.adapters.mongo.document_parts import has_label_key, label
from api_server.domain.job import Status
from api_server.domain.listing import WITH_ERROR, JobFilter

BY_ID = {"_id": 1}
BY_STATUS = {"status": 1, "_id": 1}
BY_LABELS = {"labels": 1, "_id": 1}

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OLDEST_ID = (24 * 60 + 1) * 60_000
NEWEST_ID = (5 + 1) * 60_000
"""Milliseconds by which the time in an id may lie before and after the job's create_time: one minute more
than the limits for clients.
"""


@dataclass(frozen=True, slots=True)
class Walk:
    """An index, the part of it to walk (`within`), and the conditions to check on the documents
    (`conditions`).
    """

    index: Mapping[str, int]
    within: Document
    conditions: Document
    oldest_first: bool = False

    @property
    def direction(self) -> int:
        """The order of the ids, as MongoDB writes it."""
        return 1 if self.oldest_first else -1

    def after(self, job_id: UUID) -> "Walk":
        """The rest of the walk after this id."""
        return self._bounded("$gt" if self.oldest_first else "$lt", job_id)

    def up_to(self, job_id: UUID | None) -> "Walk":
        """The walk as far as this id, which is included; None: to its end."""
        if job_id is None:
            return self
        return self._bounded("$lte" if self.oldest_first else "$gte", job_id)

    def _bounded(self, operator: str, job_id: UUID) -> "Walk":
        ids = dict(self.within.get("_id", {}))
        tighter = min if operator in ("$lt", "$lte") else max
        ids[operator] = tighter(job_id, ids.get(operator, job_id))
        return replace(self, within={**self.within, "_id": ids})


def plan_walk(wanted: JobFilter, *, oldest_first: bool = False) -> Walk | None:
    """The cheapest walk that finds every wanted job; None: no job can match."""
    statuses = wanted.possible_statuses()
    if not statuses:
        return None
    index = BY_ID
    within: Document = {}
    conditions: list[Document] = []
    labels = sorted(label(key, value) for key, value in wanted.labels.items())
    if labels:
        index, within["labels"] = BY_LABELS, labels[0]
    elif statuses <= WITH_ERROR:
        index, within["status"] = BY_STATUS, _one_of(statuses)
    if index is not BY_STATUS and statuses != frozenset(Status):
        conditions.append({"status": _one_of(statuses)})
    if ids := _id_range(wanted):
        within["_id"] = ids
    conditions += [{"labels": other} for other in labels[1:]]
    conditions += [has_label_key(key) for key in sorted(wanted.label_keys.difference(wanted.labels))]
    for name, values in (
        ("type", wanted.types),
        ("error.reason", wanted.error_reasons),
        ("worker_id", wanted.worker_ids),
    ):
        if values:
            conditions.append({name: _one_of(values)})
    for name, times in (
        ("create_time", _range(wanted.created_from, wanted.created_before)),
        ("end_time", _range(wanted.ended_from, wanted.ended_before)),
    ):
        if times:
            conditions.append({name: times})
    return Walk(index, within, {"$and": conditions} if conditions else {}, oldest_first)


def _one_of(values: Collection[Any]) -> Any:
    """The condition that a field has one of `values`, in an order that does not change."""
    found = sorted(value.value if isinstance(value, Status) else value for value in values)
    return found[0] if len(found) == 1 else {"$in": found}


def _id_range(wanted: JobFilter) -> Document:
    """A condition on `_id` that admits all wanted jobs, and perhaps others."""
    ids: Document = {}
    if wanted.created_from is not None:
        ids["$gte"] = _first_id(_milliseconds(wanted.created_from) - OLDEST_ID)
    # A job is created before it ends.
    ends = [time for time in (wanted.created_before, wanted.ended_before) if time is not None]
    if ends:
        ids["$lt"] = _first_id(_milliseconds(min(ends)) + NEWEST_ID)
    return ids


def _range(first: datetime | None, end: datetime | None) -> Document:
    """The condition that a stored time is in [first, end)."""
    times: Document = {}
    if first is not None:
        times["$gte"] = DatetimeMS(_milliseconds(first))
    if end is not None:
        times["$lt"] = DatetimeMS(_milliseconds(end))
    return times


def _milliseconds(time: datetime) -> int:
    """Milliseconds since 1970, rounded up.

    Stored times are whole milliseconds, so they compare with the result as with `time`.
    """
    return -((EPOCH - time) // timedelta(milliseconds=1))


def _first_id(milliseconds: int) -> UUID:
    """The smallest id of a time."""
    return UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)
