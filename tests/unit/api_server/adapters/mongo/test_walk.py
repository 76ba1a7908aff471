"""The walk that is planned for a filter finds exactly the jobs that the filter selects."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from api_server.adapters.mongo.document_parts import has_label_key
from api_server.adapters.mongo.walk import BY_ID, BY_LABELS, BY_STATUS, Walk, plan_walk
from api_server.domain.job import TERMINAL, Status
from api_server.domain.listing import WITH_ERROR, JobFilter
from tests.job_filters import is_wanted

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEYS, VALUES = ("a", "b", "ab"), ("1", "2", "b=1")
REASONS, WORKERS, TYPES = ("EXPIRED", "CANCELLED", "TIMEOUT"), ("w/1", "w/2"), ("compute", "data", "file")

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
moments = st.integers(-30, 30).map(lambda minutes: NOW + minutes * MINUTE)
maybe_moments = st.none() | moments


def subsets(values: Any) -> st.SearchStrategy[frozenset[Any]]:
    return st.frozensets(st.sampled_from(values), max_size=2)


filters = st.builds(
    JobFilter,
    statuses=subsets(list(Status)),
    types=subsets(TYPES),
    labels=labels,
    label_keys=subsets(KEYS),
    error_reasons=subsets(REASONS),
    worker_ids=subsets(WORKERS),
    created_from=maybe_moments,
    created_before=maybe_moments,
    ended_from=maybe_moments,
    ended_before=maybe_moments,
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A job as it is stored. Its id may be up to a day older, or five minutes newer, than the job."""
    created = draw(moments)
    id_time = created + timedelta(minutes=draw(st.sampled_from([-24 * 60, -1, 0, 5])))
    milliseconds = (id_time - EPOCH) // timedelta(milliseconds=1)
    status = draw(st.sampled_from(list(Status)))
    found: dict[str, Any] = {
        "_id": UUID(int=milliseconds << 80 | draw(st.integers(0, 2**62))),
        "status": status.value,
        "type": draw(st.sampled_from(TYPES)),
        "create_time": created,
    }
    if pairs := draw(labels):
        found["labels"] = [f"{key}={value}" for key, value in pairs.items()]
    if status in TERMINAL:
        found["end_time"] = created + draw(st.integers(0, 10)) * MINUTE
    if status in WITH_ERROR:
        found["error"] = {"reason": draw(st.sampled_from(REASONS))}
    if draw(st.booleans()):
        found["worker_id"] = draw(st.sampled_from(WORKERS))
    return found


def matches(document: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    """Whether MongoDB would select the document. Knows only the operators that a walk uses."""
    return all(_matches_one(document, name, condition) for name, condition in where.items())


def _matches_one(document: Mapping[str, Any], name: str, condition: Any) -> bool:
    if name == "$and":
        return all(matches(document, each) for each in condition)
    if name == "$expr":
        [key] = [key for key in KEYS if has_label_key(key)["$expr"] == condition]
        return any(pair.startswith(f"{key}=") for pair in document.get("labels", []))
    value: Any = document
    for part in name.split("."):
        value = value.get(part) if value is not None else None
    if not isinstance(condition, Mapping):
        return condition in value if isinstance(value, list) else bool(value == condition)
    return value is not None and all(_compares(value, *each) for each in condition.items())


def _compares(value: Any, operator: str, other: Any) -> bool:
    if isinstance(other, DatetimeMS):
        other = EPOCH + int(other) * timedelta(milliseconds=1)
    match operator:
        case "$in":
            return value in other
        case "$gt":
            return bool(value > other)
        case "$gte":
            return bool(value >= other)
        case "$lt":
            return bool(value < other)
        case "$lte":
            return bool(value <= other)
    raise AssertionError(operator)


def selected(walk: Walk, document: Mapping[str, Any]) -> bool:
    return matches(document, walk.within) and matches(document, walk.conditions)


@given(filters, st.lists(documents(), max_size=8))
def test_a_walk_selects_exactly_the_jobs_of_the_filter(
    wanted: JobFilter, stored: list[dict[str, Any]]
) -> None:
    walk = plan_walk(wanted)
    for document in stored:
        assert (walk is not None and selected(walk, document)) == is_wanted(document, wanted)


@given(filters, documents())
def test_a_walk_names_only_what_its_index_contains(wanted: JobFilter, document: dict[str, Any]) -> None:
    walk = plan_walk(wanted)
    if walk is None:
        assert not is_wanted(document, wanted)
        return
    assert set(walk.within) <= set(walk.index)
    if walk.index == BY_STATUS:
        status = walk.within["status"]
        assert set(status["$in"] if isinstance(status, dict) else [status]) <= {"failed", "cancelled"}
    if walk.index == BY_LABELS:
        assert walk.within["labels"] in [f"{key}={value}" for key, value in wanted.labels.items()]


@given(filters, st.lists(documents(), max_size=8), documents(), st.booleans())
def test_the_two_parts_of_a_walk_together_are_the_walk(
    wanted: JobFilter, stored: list[dict[str, Any]], at: dict[str, Any], oldest_first: bool
) -> None:
    walk = plan_walk(wanted, oldest_first=oldest_first)
    if walk is None:
        return
    for document in stored:
        parts = [selected(walk.up_to(at["_id"]), document), selected(walk.after(at["_id"]), document)]
        assert parts.count(True) == int(selected(walk, document))
        if any(parts):
            is_first = document["_id"] == at["_id"] or (document["_id"] < at["_id"]) == oldest_first
            assert parts[0] == is_first


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (JobFilter(), BY_ID),
        (JobFilter(statuses=frozenset({Status.QUEUED, Status.FAILED})), BY_ID),
        (JobFilter(statuses=frozenset({Status.FAILED})), BY_STATUS),
        (JobFilter(statuses=WITH_ERROR), BY_STATUS),
        (JobFilter(error_reasons=frozenset({"TIMEOUT"})), BY_STATUS),
        (JobFilter(error_reasons=frozenset({"TIMEOUT"}), labels={"a": "1"}), BY_LABELS),
        (JobFilter(ended_from=NOW), BY_ID),
        (JobFilter(label_keys=frozenset({"a"})), BY_ID),
    ],
)
def test_the_index_with_the_fewest_entries_is_walked(wanted: JobFilter, index: Mapping[str, int]) -> None:
    walk = plan_walk(wanted)
    assert walk is not None
    assert walk.index == index


@pytest.mark.parametrize(
    "wanted",
    [
        JobFilter(statuses=frozenset({Status.QUEUED}), error_reasons=frozenset({"TIMEOUT"})),
        JobFilter(statuses=frozenset({Status.PROCESSING}), ended_before=NOW),
    ],
)
def test_a_filter_that_no_job_can_meet_needs_no_walk(wanted: JobFilter) -> None:
    assert plan_walk(wanted) is None


def test_a_bound_never_makes_a_walk_longer() -> None:
    """A page token may hold any id: its sender may have changed it."""
    walk = plan_walk(JobFilter(created_before=NOW))
    assert walk is not None
    assert walk.after(UUID(int=2**128 - 1)).within == walk.within


@given(
    create_time=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - made aware below
    skew=st.timedeltas(timedelta(hours=-24), timedelta(minutes=5)),
    margin=st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_a_walk_by_time_finds_every_id_that_a_client_may_choose(
    create_time: datetime, skew: timedelta, margin: timedelta
) -> None:
    created = create_time.replace(tzinfo=UTC, microsecond=create_time.microsecond // 1000 * 1000)
    milliseconds = (created + skew - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    wanted = JobFilter(
        created_from=created - margin, created_before=created + margin + timedelta(milliseconds=1)
    )
    walk = plan_walk(wanted)
    assert walk is not None
    ids = walk.within["_id"]
    assert ids["$gte"] <= UUID(int=milliseconds << 80) < ids["$lt"]


def test_times_at_the_ends_of_the_calendar_are_no_error() -> None:
    wanted = JobFilter(
        created_from=datetime.min.replace(tzinfo=UTC), created_before=datetime.max.replace(tzinfo=UTC)
    )
    walk = plan_walk(wanted)
    assert walk is not None
    assert walk.within["_id"]["$gte"] == UUID(int=0)
