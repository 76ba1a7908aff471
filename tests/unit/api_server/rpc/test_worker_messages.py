"""A list of workers fits into one answer, and a few large registrations hide no ordinary worker."""

from datetime import UTC, datetime

from api_server.domain.fleet import Worker, WorkerIdentity, WorkerReport
from api_server.rpc.answers import MAX_ANSWER_BYTES, MAX_FLEET_BYTES, worker_messages
from job_client._gen.jobs.v1.fleet_service_pb2 import GetFleetResponse

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def worker(name: str, types: int) -> Worker:
    job_types = tuple(f"{number:063}" for number in range(types))
    return Worker(WorkerIdentity(f"{name}/1", name, "host", 1, job_types), WorkerReport(), NOW)


def test_the_largest_are_left_out_and_the_others_stay_in_order() -> None:
    strangers = [worker(f"a{number:03}", 256) for number in range(300)]
    own = [worker(name, 2) for name in ("a", "b", "c")]
    shown = worker_messages(sorted([*strangers, *own], key=lambda each: each.identity.name))
    names = [message.identity.name for message in shown]
    assert names == sorted(names)
    assert {"a", "b", "c"} <= set(names)
    assert 200 < len(names) < 300
    assert GetFleetResponse(workers=shown).ByteSize() <= MAX_ANSWER_BYTES - MAX_FLEET_BYTES


def test_all_are_shown_if_they_fit() -> None:
    workers = [worker(f"w{number:03}", 256) for number in range(200)]
    assert len(worker_messages(workers)) == 200
    assert worker_messages([]) == []
