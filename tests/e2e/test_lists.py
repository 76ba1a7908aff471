"""List and BatchGet by REST: filters with several values, the order, the view, the total size."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.jobs_api import create, get, jobs_client, wait_for_status
from tests.e2e.rest import error_of

LARGE_FIELDS = {"payload", "result", "history"}


@pytest.fixture(scope="module")
def three(stack: Stack) -> tuple[str, list[dict[str, Any]]]:
    """A label that only these jobs have, and the jobs, oldest first: failed, cancelled, queued."""
    run = uuid4().hex
    with jobs_client(stack) as client:
        failed = create(client, "compute", {}, labels={"run": run, run: "x"})
        cancelled = create(client, UNWORKED, {"input": "b"}, labels={"run": run})
        queued = create(client, UNWORKED, {"input": "c"}, labels={"run": run})
        client.post(f"/jobs/{cancelled['id']}:cancel", json={})
        wait_for_status(client, failed["id"], "failed")
        return run, [get(client, job["id"]) for job in (failed, cancelled, queued)]


def listed(client: httpx.Client, run: str, *query: tuple[str, str]) -> list[str]:
    """The ids of all pages, one job on each."""
    ids: list[str] = []
    token = ""
    while True:
        asked = httpx.QueryParams([("labels", f"run={run}"), ("pageSize", "1"), ("pageToken", token), *query])
        answer = client.get("/jobs", params=asked)
        assert answer.is_success, answer.text
        ids += [job["id"] for job in answer.json()["jobs"]]
        token = answer.json()["nextPageToken"]
        if not token:
            return ids


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ([("statuses", "failed"), ("statuses", "cancelled")], [1, 0]),
        ([("status", "failed"), ("statuses", "cancelled")], [1, 0]),
        ([("statuses", "queued")], [2]),
        ([("types", "compute"), ("types", UNWORKED)], [2, 1, 0]),
        ([("types", UNWORKED), ("types", "other")], [2, 1]),
        ([("type", "compute")], [0]),
        ([("errorReasons", "INVALID_INPUT")], [0]),
        ([("errorReasons", "INVALID_INPUT"), ("errorReasons", "CANCELLED")], [1, 0]),
        ([("errorReasons", "TIMEOUT")], []),
        ([("labelKeys", "run")], [2, 1, 0]),
        ([("endTimeFrom", "2000-01-01T00:00:00Z")], [1, 0]),
        ([("endTimeBefore", "2000-01-01T00:00:00Z")], []),
        ([("oldestFirst", "true")], [0, 1, 2]),
        ([("oldestFirst", "true"), ("statuses", "cancelled"), ("statuses", "queued")], [1, 2]),
    ],
)
def test_a_filter_selects_the_jobs_with_one_of_its_values(
    client: httpx.Client,
    three: tuple[str, list[dict[str, Any]]],
    query: Sequence[tuple[str, str]],
    found: Sequence[int],
) -> None:
    run, jobs = three
    assert listed(client, run, *query) == [jobs[number]["id"] for number in found]


def test_filters_by_what_only_one_job_has(
    client: httpx.Client, three: tuple[str, list[dict[str, Any]]]
) -> None:
    run, jobs = three
    [worker_id] = {job["workerId"] for job in jobs} - {""}
    by_key = client.get("/jobs", params={"labelKeys": run}).json()["jobs"]
    assert [job["id"] for job in by_key] == [jobs[0]["id"]]
    assert listed(client, run, ("workerIds", worker_id), ("workerIds", "other")) == [jobs[0]["id"]]
    first_end = jobs[0]["endTime"]
    ended_then = listed(client, run, ("endTimeFrom", first_end), ("errorReasons", "INVALID_INPUT"))
    assert ended_then == [jobs[0]["id"]]
    assert listed(client, run, ("endTimeBefore", first_end), ("errorReasons", "INVALID_INPUT")) == []


def test_the_basic_view_of_a_list_and_of_a_batch(
    client: httpx.Client, three: tuple[str, list[dict[str, Any]]]
) -> None:
    run, jobs = three
    expected = [{name: job[name] for name in job.keys() - LARGE_FIELDS} for job in jobs]
    query = {"labels": f"run={run}", "oldestFirst": "true"}
    basic = client.get("/jobs", params={**query, "view": "basic"}).json()["jobs"]
    assert [{name: job[name] for name in job.keys() - LARGE_FIELDS} for job in basic] == expected
    # The gateway prints an empty list for a field that is not set.
    large = [(job.get("payload"), job.get("result"), job["history"]) for job in basic]
    assert large == [(None, None, [])] * 3
    assert client.get("/jobs", params={**query, "view": "full"}).json()["jobs"] == jobs
    ids = [job["id"] for job in jobs]
    assert client.get("/jobs:batchGet", params={"ids": ids, "view": "basic"}).json()["jobs"] == basic
    assert client.post("/jobs:batchGet", json={"ids": ids, "view": "basic"}).json()["jobs"] == basic
    assert client.post("/jobs:batchGet", json={"ids": ids}).json()["jobs"] == jobs


def test_the_total_size_counts_all_pages_and_only_on_request(
    client: httpx.Client, three: tuple[str, list[dict[str, Any]]]
) -> None:
    run, _ = three
    query = {"labels": f"run={run}", "pageSize": "2"}
    counted = client.get("/jobs", params={**query, "includeTotalSize": "true"}).json()
    assert (counted["totalSize"], counted["totalSizeCapped"], len(counted["jobs"])) == (3, False, 2)
    second = client.get(
        "/jobs", params={**query, "includeTotalSize": "true", "pageToken": counted["nextPageToken"]}
    ).json()
    assert (second["totalSize"], len(second["jobs"])) == (3, 1)
    assert "totalSize" not in client.get("/jobs", params=query).json()


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("status=failed&status=cancelled", "status", "use statuses"),
        ("type=compute&type=data", "type", "use types"),
        ("statuses=unspecified", "statuses[0]", "must not be in list"),
        ("types=", "types[0]", "at least 1"),
        ("labelKeys=a%3Db", "label_keys[0]", "pattern"),
        ("errorReasons=timeout", "error_reasons[0]", "pattern"),
    ],
)
def test_a_filter_that_breaks_a_rule_is_refused_and_named(
    client: httpx.Client, query: str, field: str, says: str
) -> None:
    error = error_of(client.get(f"/jobs?{query}"), 400, 3)
    [violation] = error["details"][0]["fieldViolations"]
    assert violation["field"] == field
    assert says in violation["description"]


def test_a_page_token_belongs_to_its_filters_and_its_order(
    client: httpx.Client, three: tuple[str, list[dict[str, Any]]]
) -> None:
    run, _ = three
    query = {"labels": f"run={run}", "pageSize": "1"}
    token = client.get("/jobs", params=query).json()["nextPageToken"]
    same = {**query, "pageSize": "2", "view": "basic", "includeTotalSize": "true", "pageToken": token}
    assert client.get("/jobs", params=same).is_success
    for other in ({"oldestFirst": "true"}, {"types": "compute"}, {"labelKeys": "run"}):
        error = error_of(client.get("/jobs", params={**query, "pageToken": token, **other}), 400, 3)
        assert error["details"][0]["fieldViolations"][0]["field"] == "page_token"
