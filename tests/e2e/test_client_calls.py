"""Each call of the Python client against the running system. test_job_client.py has creates and faults."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from job_client import JobClient, JobClientError, JobFailed, JobNotFound, Status
from local_stack.stack import Stack
from tests.conftest import UNWORKED


@pytest.fixture
def client(stack: Stack) -> Iterator[JobClient]:
    addresses = stack.endpoints
    with JobClient(addresses.jobs_address, control_address=addresses.workers_url) as client:
        yield client


def test_run_returns_the_result_or_raises_the_job_s_error(client: JobClient) -> None:
    assert client.run("compute", {"input": ""}, timeout=60)["hash"].startswith("e3b0c442")
    with pytest.raises(JobFailed) as caught:
        client.run("compute", {"input": 5}, timeout=60)
    assert caught.value.reason == "INVALID_INPUT"
    assert client.get(caught.value.job).status is Status.FAILED


def test_jobs_are_found_by_all_conditions(client: JobClient) -> None:
    mark = str(uuid4())
    handles = [client.submit(UNWORKED, {"n": n}, labels={"mark": mark}) for n in range(3)]
    since = datetime.now(UTC) - timedelta(minutes=5)
    found = list(
        client.list(types=UNWORKED, statuses=["queued"], labels={"mark": mark}, create_time_from=since)
    )
    assert [job.id for job in found] == [handle.id for handle in handles[::-1]]
    assert [job.payload for job in client.list(labels={"mark": mark}, basic=True)] == [None] * 3
    page = client.list_page(labels={"mark": mark}, page_size=2, oldest_first=True, total=True)
    assert [job.id for job in page.jobs] == [handle.id for handle in handles[:2]]
    assert (page.total_size, page.total_size_capped) == (3, False)


def test_one_job_is_cancelled_retried_and_deleted(client: JobClient) -> None:
    handle = client.submit(UNWORKED, {})
    cancelled = handle.cancel(reason="not now")
    assert cancelled.error is not None
    assert (cancelled.status, cancelled.error.message) == (Status.CANCELLED, "not now")
    with pytest.raises(JobClientError, match="FAILED_PRECONDITION") as caught:
        handle.cancel()
    assert caught.value.reason == "JOB_TERMINAL"
    assert client.retry(handle).status is Status.QUEUED
    client.cancel(handle)
    client.delete(handle)
    with pytest.raises(JobNotFound):
        client.get(handle)


def test_many_jobs_are_cancelled_and_retried(client: JobClient) -> None:
    mark = str(uuid4())
    for n in range(3):
        client.submit(UNWORKED, {"n": n}, labels={"mark": mark})
    tried = client.bulk_cancel(labels={"mark": mark}, dry_run=True)
    assert (tried.id, tried.kind, tried.matched) == ("", "bulk_cancel", 3)
    for operation in (client.bulk_cancel(labels={"mark": mark}), client.bulk_retry(labels={"mark": mark})):
        *_, ended = client.watch_operation(operation.id, timeout=60)
        assert (ended.state, ended.changed) == ("finished", 3)
        assert client.get_operation(operation.id) == client.cancel_operation(operation.id) == ended
    assert {job.status for job in client.list(labels={"mark": mark})} == {Status.QUEUED}


def test_a_job_is_watched_explained_and_has_a_log(client: JobClient) -> None:
    handle = client.submit("compute", {"input": "watched"})
    states = [job.status for job in handle.watch(timeout=60)]
    assert states[-1] is Status.COMPLETED
    assert handle.explain().reason == "ended"
    assert handle.log().entries == ()
    waiting = client.submit(UNWORKED, {})
    assert client.explain(waiting).reason == "no_worker"
    assert [job.id for job in waiting.watch(timeout=0.5)] == [waiting.id]


def test_types_numbers_and_workers_are_reported(client: JobClient) -> None:
    client.run("compute", {"input": "counted"}, timeout=60)
    [compute] = [each for each in client.types() if each.type == "compute"]
    assert compute.accepted
    assert compute.live_workers >= 1
    assert "compute" in {each.type for each in client.stats().types}
    fleet = client.workers()
    assert fleet.consuming
    assert set(compute.worker_names) <= {worker.identity.name for worker in fleet.workers}


def test_a_type_is_stopped_and_started(client: JobClient) -> None:
    assert client.stop(job_type="blocking").stopped_types == ("blocking",)
    assert client.start(job_type="blocking").stopped_types == ()
    with pytest.raises(JobClientError) as caught:
        client.stop(worker="no-such-worker")
    assert caught.value.reason == "WORKER_NOT_FOUND"
