"""Events of MongoDB's change stream as changes of jobs."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from api_server.adapters.mongo.change_stream import to_change
from api_server.adapters.mongo.client import CODEC
from api_server.adapters.mongo.documents import LARGE, to_document
from api_server.domain.attempt import Failure
from api_server.domain.changes import JobChange
from api_server.domain.job import Job, Progress, Status

ID = UUID("0198f0a0-0000-7000-8000-000000000001")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def change(**event: Any) -> JobChange:
    raw = {"_id": {"_data": "82AA"}, "documentKey": {"_id": ID}, **event}
    return to_change(RawBSONDocument(bson.encode(raw, codec_options=CODEC)))


def updated(removed: tuple[str, ...] = (), **fields: Any) -> JobChange:
    description = {"updatedFields": {"revision": 2, **fields}, "removedFields": list(removed)}
    return change(operationType="update", updateDescription=description)


def job(**fields: Any) -> Job:
    return Job(ID, "compute", Status.QUEUED, {}, create_time=NOW, update_time=NOW, **fields)


def test_an_insert_is_a_new_job() -> None:
    new = job(labels={"a": "b"}, schedule_time=NOW, next_attempt_time=NOW)
    document = {name: value for name, value in to_document(new, NOW).items() if name not in LARGE}
    created = change(operationType="insert", fullDocument=document)

    assert (created.job_id, created.revision, created.position, created.is_new) == (ID, 1, "82AA", True)
    assert created.created() == new


def test_an_update_sets_and_removes_what_readers_see() -> None:
    before = job(worker_id="w", progress=Progress(5, "x"), attempt=1)
    seen = updated(
        ("worker_id", "progress", "due_time", "record"),
        status="failed",
        failures=1,
        error={"code": 13, "message": "m", "reason": "R"},
        end_time=NOW,
        alone=True,
    )

    after = seen.applied_to(before)

    assert (after.status, after.revision, after.worker_id, after.progress) == (Status.FAILED, 2, "", None)
    assert (after.error, after.end_time, after.failures) == (Failure(13, "m", "R"), NOW, 1)
    assert (after.attempt, seen.has_ended, seen.is_complete) == (1, True, True)


def test_progress_is_a_change() -> None:
    seen = updated(progress={"percent": 50.0, "message": "half", "time": NOW})

    assert seen.applied_to(job()).progress == Progress(50, "half")
    assert not seen.has_ended


@pytest.mark.parametrize("name", ["progress.percent", "error.message", "labels.0"])
def test_a_part_of_a_field_is_not_enough(name: str) -> None:
    assert not updated((), **{name: 1}).is_complete


@pytest.mark.parametrize("name", ["history.3", "record.offset", "dispatches", "due_time"])
def test_what_a_watch_does_not_show_does_not_matter(name: str) -> None:
    seen = updated((), **{name: 1})

    assert (seen.is_complete, seen.values) == (True, {"revision": 2})
