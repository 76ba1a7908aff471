"""The API document: it is served, and the running REST API does what it says.

`make test-api` makes more requests.
"""

import json
import os
import re
from typing import Any

import grpc
import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from gateway.openapi.__main__ import FILE
from job_client._gen.jobs.v1.job_service_pb2 import GetApiDocumentRequest
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from local_stack.stack import Stack
from tests.document_schemas import errors_in
from tests.e2e.openapi_leniency import Lenient
from tests.waiting import wait_for

EXAMPLES = int(os.environ.get("API_EXAMPLES", "4"))
"""Made-up requests of each operation, besides the examples in the document."""
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA.config.phases.coverage.enabled = "API_EXAMPLES" in os.environ
# Envoy itself refuses QUERY without a content type, as its RFC wants.
SCHEMA.config.phases.coverage.unexpected_methods = {"get", "put", "post", "delete", "patch", "trace"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    missing_required_header,
    unsupported_method,
]
BEYOND_SCHEMA = {
    "duration.gte_lte": "a duration is text, and its range has keywords of our own",
    "error.fits_status": "depends on the status in the same request",
    "expire_time.order": "two times are compared",
    "failure_hint.fits_status": "depends on the status in the same request",
    "batch.id_once": "items of a list are compared by their ids",
    "filter.not_empty": "an empty list is no condition",
    "guard.fits_status": "depends on the status in the same request",
    "guard.required": "depends on the status in the same request",
    "id.time": "the time inside an id is compared with the clock",
    "number.exact": "numbers inside a payload are the user's; the description has their limit",
    "notify.enabled": "depends on whether workers deliver webhooks",
    "page_token.format": "a token comes from an earlier response",
    "part.one": "a rule of the whole message; the description has it",
    "result.fits_status": "depends on the status in the same request",
    "schedule_time.max": "compared with the clock",
    "struct.json": "the size and the depth of a payload; the description has them",
    "timestamp.range": "the years of a date-time have no keyword",
    "type.known": "the types are a setting",
    "type.reserved": "the type of webhooks is the server's own",
}
"""Rules that JSON Schema cannot say, and why. The document says them in words."""
LENIENT = Lenient(DOCUMENT)
TOO_LARGE = 431
"""The gateway's limit of headers, and so of queries, is for all requests: the document cannot say it."""


@SCHEMA.exclude(path_regex=":watch$").parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # Without the search for the smallest request that fails, which takes minutes.
    phases=[Phase.explicit, Phase.generate],
    database=None,
)
@pytest.mark.slow
def test_the_api_does_what_its_document_says(stack: Stack, case: Any) -> None:
    """Watches are not among the operations, because they do not end; tests/e2e/test_watches.py has them."""
    without_waits(case)
    answer = case.call(base_url=base_url(stack, case), timeout=20)

    if leads_nowhere(answer):
        # Made-up ids may have slashes.
        assert case.path_parameters
        return
    case.validate_response(answer, checks=CHECKS)
    if answer.status_code == TOO_LARGE:
        return
    if case.meta and case.meta.generation.mode.is_positive:
        refused_for = {each["reason"] for each in violations(answer)}
        assert not refused_for - set(BEYOND_SCHEMA), answer.text
    else:
        try:
            case.validate_response(answer, checks=[negative_data_rejection])
        except FailureGroup:
            if not is_lenient(case):
                raise


def base_url(stack: Stack, case: Any) -> str:
    of_workers = "WorkerService" in (case.operation.tags or [])
    return stack.endpoints.workers_url if of_workers else stack.endpoints.jobs_url


def without_waits(case: Any) -> None:
    """A valid wait for a job that nobody runs would last for `MAX_WAIT`."""
    for place in (case.query, case.body):
        if isinstance(place, dict) and re.fullmatch(r"[0-9.]+s", str(place.get("wait"))):
            place["wait"] = "0.01s"


def leads_nowhere(answer: schemathesis.Response) -> bool:
    """Whether the gateway knows no such path."""
    return answer.status_code == 404 and not answer.json()["details"]


def violations(answer: schemathesis.Response) -> list[dict[str, str]]:
    if answer.status_code != 400:
        return []
    details = answer.json()["details"]
    assert details, f"the gateway refuses what fits: {answer.text}"
    found: list[dict[str, str]] = details[0]["fieldViolations"]
    return found


def is_lenient(case: Any) -> bool:
    """Whether an accepted request fits the document once it is written in the usual way."""
    definition = DOCUMENT["paths"][case.operation.path][case.operation.method]
    for parameter in definition["parameters"]:
        place = {"path": case.path_parameters, "query": case.query}.get(parameter.get("in"))
        value = (place or {}).get(parameter.get("name"), "")
        if value not in ("", None, []) and not LENIENT.fits(parameter["schema"], value, is_text=True):
            return False
    body = definition.get("requestBody")
    if body is None or not isinstance(case.body, dict):
        return body is None
    return LENIENT.fits(body["content"]["application/json"]["schema"], case.body)


@pytest.fixture(autouse=True, scope="module")
def _started_again(stack: Stack) -> Any:
    """Made-up requests stop parts of the fleet."""
    yield
    requests.post(f"{stack.endpoints.workers_url}/start", timeout=20).raise_for_status()


# How it is served.


def served(jobs: httpx.Client) -> httpx.Response:
    """The answer when the API server has learnt the schema of tests/handlers.py."""
    wait_for(lambda: "Payload.typed" in jobs.get("/openapi.json").text, "the schema is in the document")
    return jobs.get("/openapi.json")


def test_the_document_is_served_with_the_schemas_of_payloads(stack: Stack, jobs: httpx.Client) -> None:
    answer = served(jobs)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.num_bytes_downloaded < len(answer.content) / 2
    document = answer.json()
    assert document["paths"] == DOCUMENT["paths"]
    OpenAPIV31SpecValidator(document).validate()
    create = {"$ref": "#/components/schemas/CreateRequest"}
    for payload in ({"input": "x", "options": {"rounds": 3}}, {"input": "x", "options": {"rounds": "3"}}, {}):
        body = {"type": "typed", "payload": payload}
        fits = not errors_in(document, create, body)
        assert fits is jobs.post("/jobs", json=body).is_success
    with grpc.insecure_channel(stack.endpoints.jobs_address) as channel:
        stub: Any = JobServiceStub(channel)
        native = stub.GetApiDocument(GetApiDocumentRequest(), timeout=10)
    assert (native.content_type, native.data) == ("application/json", answer.content)


def test_the_page_and_all_that_it_names_are_served(jobs: httpx.Client) -> None:
    page = jobs.get("/api")

    assert jobs.get("/api/").text == page.text
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
    assert "http" not in page.text
    named = re.findall(r'(?:src|href|spec-url)="(/[^"]*)"', page.text)
    assert {"/openapi.json", "/api/page.js", "/api/page.css", "/api/rapidoc.min.js"} == set(named)
    for path in named:
        assert jobs.get(path).status_code == jobs.head(path).status_code == 200
        assert jobs.get(path).headers["x-content-type-options"] == "nosniff"
    assert "MIT" in jobs.get("/api/rapidoc.LICENSE").text


def test_a_file_is_sent_again_only_after_it_has_changed(jobs: httpx.Client) -> None:
    served(jobs)
    for path in ("/openapi.json", "/api"):
        tag = jobs.get(path).headers["etag"]
        for sent in (tag, tag.removeprefix("W/"), f'"other", {tag}'):
            known = jobs.get(path, headers={"if-none-match": sent})
            assert (known.status_code, known.content) == (304, b"")
            assert known.headers["etag"] == tag
            assert "location" not in known.headers
        assert jobs.get(path, headers={"if-none-match": 'W/"other"'}).status_code == 200


def test_a_file_takes_no_other_method(jobs: httpx.Client, workers: httpx.Client) -> None:
    for path in ("/openapi.json", "/api"):
        refused = jobs.post(path)
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert workers.get(path).status_code == 404
