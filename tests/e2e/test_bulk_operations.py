"""BulkCancel, BulkRetry and their operations, by REST."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.conftest import UNWORKED
from tests.e2e.jobs_api import create, get, wait_until_ended
from tests.e2e.rest import error_of
from tests.waiting import wait_for

ENDED = {"finished", "cancelled", "failed"}


def ended(client: httpx.Client, operation: dict[str, Any]) -> dict[str, Any]:
    """The operation, once it has ended."""

    def found() -> dict[str, Any] | None:
        answer = client.get(f"/operations/{operation['id']}")
        assert answer.is_success, answer.text
        present: dict[str, Any] = answer.json()
        return present if present["state"] in ENDED else None

    result: dict[str, Any] = wait_for(found)
    return result


def begun(client: httpx.Client, call: str, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/jobs:{call}", json=body)
    assert answer.is_success, answer.text
    operation: dict[str, Any] = answer.json()
    return operation


def test_many_jobs_are_cancelled_and_queued_again(client: httpx.Client) -> None:
    run = uuid4().hex
    jobs = [create(client, UNWORKED, {"input": "x"}, labels={"run": run}) for _ in range(3)]
    wanted = {"labels": [f"run={run}"]}

    dry = begun(client, "bulkCancel", filter=wanted, dryRun=True)
    assert (dry["id"], dry["state"], dry["matched"], dry["matchedCapped"]) == ("", "no_state", 3, False)
    assert get(client, jobs[0]["id"])["status"] == "queued"

    operation = begun(client, "bulkCancel", filter=wanted, reason="not now")
    assert (operation["kind"], operation["matched"], operation["reason"]) == ("bulk_cancel", 3, "not now")
    assert operation["filter"]["labels"] == [f"run={run}"]
    operation = ended(client, operation)
    assert (operation["state"], operation["changed"], operation["refused"]) == ("finished", 3, 0)
    cancelled = [get(client, job["id"]) for job in jobs]
    assert {(job["status"], job["error"]["message"]) for job in cancelled} == {("cancelled", "not now")}

    operation = ended(client, begun(client, "bulkRetry", filter={**wanted, "errorReasons": ["CANCELLED"]}))
    assert (operation["kind"], operation["changed"]) == ("bulk_retry", 3)
    assert {get(client, job["id"])["status"] for job in jobs} == {"queued"}
    assert ended(client, begun(client, "bulkCancel", filter=wanted))["changed"] == 3


def test_jobs_that_are_retried_together_run_again(client: httpx.Client) -> None:
    run = uuid4().hex
    jobs = [create(client, "compute", {}, labels={"run": run}) for _ in range(3)]
    for job in jobs:
        assert wait_until_ended(client, job["id"])["status"] == "failed"
    operation = ended(client, begun(client, "bulkRetry", filter={"labels": [f"run={run}"]}))
    assert operation["changed"] == 3
    for job in jobs:
        again = wait_until_ended(client, job["id"])
        assert (again["status"], again["attempt"]) == ("failed", 2)


def test_operations_are_listed_and_can_be_cancelled_again_and_again(client: httpx.Client) -> None:
    operation = begun(client, "bulkCancel", filter={"labels": [f"run={uuid4().hex}"]})
    for path in (f"/operations/{operation['id']}:cancel", f"/operations/{operation['id']}%3Acancel"):
        answer = client.post(path, json={})
        assert answer.is_success, answer.text
        assert answer.json()["state"] in ENDED
    first = client.get("/operations", params={"pageSize": 1}).json()
    assert [each["id"] for each in first["operations"]] == [operation["id"]]
    second = client.get("/operations", params={"pageToken": first["nextPageToken"]}).json()
    assert operation["id"] not in [each["id"] for each in second["operations"]]


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "filter", "required"),
        ({"filter": {}}, "filter", "at least one condition"),
        ({"filter": {"statuses": ["unspecified"]}}, "filter.statuses[0]", "must not be"),
        ({"filter": {"labels": ["a=1", "a=2"]}}, "filter.labels[1]", "second value"),
        ({"filter": {"labels": ["a"]}}, "filter.labels[0]", "pattern"),
    ],
)
@pytest.mark.parametrize("call", ["bulkCancel", "bulkRetry"])
def test_a_filter_that_breaks_a_rule_is_refused_and_named(
    client: httpx.Client, call: str, body: dict[str, Any], field: str, says: str
) -> None:
    error = error_of(client.post(f"/jobs:{call}", json=body), 400, 3)
    violations = error["details"][0]["fieldViolations"]
    assert [each["field"] for each in violations] == [field]
    assert says in violations[0]["description"]


def test_an_operation_that_does_not_exist_is_404(client: httpx.Client) -> None:
    for answer in (
        client.get(f"/operations/{uuid4()}"),
        client.post(f"/operations/{uuid4()}:cancel", json={}),
    ):
        assert error_of(answer, 404, 5)["details"][0]["reason"] == "OPERATION_NOT_FOUND"
    error_of(client.get("/operations/abc"), 400, 3)
    error_of(client.get("/operations", params={"pageToken": "abc"}), 400, 3)


def test_a_wrong_method_on_operations_is_405(client: httpx.Client) -> None:
    error_of(client.delete("/operations"), 405, 12)
    error_of(client.delete(f"/operations/{uuid4()}"), 405, 12)
