"""Messages of the contract, filled from JSON."""

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.limits import JOB_SERVICE, WORKER_SERVICE
from contract_runtime.rest import has_rest
from job_client._gen.jobs.v1 import job_pb2
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchCreateRequest,
    BatchGetRequest,
    CancelRequest,
    CreateRequest,
    UpdateStatusRequest,
)
from job_client._gen.jobs.v1.worker_service_pb2 import StopRequest
from service_runtime.json_body import Misfit, parse
from service_runtime.json_messages import fill

REQUESTS = [
    GetMessageClass(method.input_type)
    for service in (JOB_SERVICE, WORKER_SERVICE)
    for method in service.methods
    if has_rest(method)
]
FULL: dict[str, Any] = {
    "id": "0198f0a0-0000-7000-8000-000000000001",
    "type": "compute",
    "payload": {"a": [1, 2.5, None, True, "x", {}], "b": {"c": "d"}},
    "labels": {"team": "a", "": "b"},
    "retryPolicy": {"maxAttempts": 5, "initialBackoff": "1.5s", "multiplier": 2, "jitter": 0},
    "scheduleTime": "2026-01-31T12:00:00.123Z",
    "timeout": "60s",
}
OTHERS: list[tuple[type[Message], dict[str, Any]]] = [
    (CreateRequest, {}),
    (CreateRequest, {"payload": {}, "retry_policy": {}, "labels": {}}),
    (CreateRequest, {"type": None, "payload": None, "labels": None, "timeout": None}),
    (BatchCreateRequest, {"requests": [FULL, {"type": "data"}, {}]}),
    (BatchGetRequest, {"ids": ["a", "b"]}),
    (UpdateStatusRequest, {"status": "completed", "result": {}, "token": {"workerId": "w", "attempt": "3"}}),
    (UpdateStatusRequest, {"status": 4, "error": {"code": 13, "message": "m"}}),
    (UpdateStatusRequest, {"status": 3.0, "claim": {"alone": False, "expectedAttempt": 1e2}}),
    (UpdateStatusRequest, {"status": 99}),
    (StopRequest, {"worker": ""}),
    (StopRequest, {"all": True}),
]


def filled(kind: type[Message], body: str) -> Any:
    message = kind()
    fill(message, parse(body.encode()))
    return message


def misfit(kind: type[Message], body: str) -> Misfit:
    with pytest.raises(Misfit) as caught:
        filled(kind, body)
    return caught.value


@pytest.mark.parametrize(("kind", "data"), [(CreateRequest, FULL), *OTHERS])
def test_a_message_is_filled_as_protobuf_does_it(kind: type[Message], data: dict[str, Any]) -> None:
    body = json.dumps(data)
    assert filled(kind, body) == json_format.Parse(body, kind())


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_every_request_of_the_contract_can_come_as_json(kind: type[Message]) -> None:
    assert filled(kind, "{}") == kind()
    assert misfit(kind, '{"nope": 1}').rule == "field.known"


@pytest.mark.parametrize(
    ("kind", "body", "path", "rule"),
    [
        (StopRequest, '{"workr": "x"}', "workr", "field.known"),
        (StopRequest, '{"": 1}', '""', "field.known"),
        (CreateRequest, '{"retryPolicy": {"": 1, "": 2}}', 'retry_policy.""', "field.once"),
        (CreateRequest, '{"retryPolicy": {"maxAttemps": 1}}', "retry_policy.maxAttemps", "field.known"),
        (BatchCreateRequest, '{"requests": [{}, {"typ": 1}]}', "requests[1].typ", "field.known"),
        (CreateRequest, '{"type": "a", "type": "b"}', "type", "field.once"),
        (CreateRequest, '{"retryPolicy": {}, "retry_policy": {}}', "retry_policy", "field.once"),
        (CreateRequest, '{"labels": {"a": "1", "a": "2"}}', "labels.a", "field.once"),
        (CreateRequest, '{"payload": {"x": [{"a": 1, "a": 1}]}}', "payload.x[0].a", "field.once"),
        (CreateRequest, '{"payload": {"n": 9007199254740993}}', "payload.n", "number.exact"),
        (CreateRequest, '{"payload": []}', "payload", "json.type"),
        (CreateRequest, '{"type": 5}', "type", "json.type"),
        (CreateRequest, '{"type": ["a"]}', "type", "json.type"),
        (CreateRequest, '{"type": "\\ud800"}', "type", "text.unicode"),
        (CreateRequest, '{"labels": {"a": null}}', 'labels["a"]', "json.type"),
        (CreateRequest, '{"labels": []}', "labels", "json.type"),
        (CreateRequest, '{"retryPolicy": {"maxAttempts": 1.5}}', "retry_policy.max_attempts", "json.type"),
        (CreateRequest, '{"retryPolicy": {"maxAttempts": true}}', "retry_policy.max_attempts", "json.type"),
        (CreateRequest, '{"retryPolicy": {"maxAttempts": 1e400}}', "retry_policy.max_attempts", "json.type"),
        (
            CreateRequest,
            '{"retryPolicy": {"maxAttempts": 2147483648}}',
            "retry_policy.max_attempts",
            "json.range",
        ),
        (CreateRequest, '{"retryPolicy": {"jitter": "x"}}', "retry_policy.jitter", "json.type"),
        (CreateRequest, '{"retryPolicy": {"jitter": 1e400}}', "retry_policy.jitter", "number.finite"),
        (CreateRequest, '{"timeout": 5}', "timeout", "json.duration"),
        (CreateRequest, '{"timeout": "5"}', "timeout", "json.duration"),
        (CreateRequest, '{"timeout": "1e3s"}', "timeout", "json.duration"),
        (CreateRequest, '{"scheduleTime": "tomorrow"}', "schedule_time", "json.time"),
        (CreateRequest, '{"scheduleTime": "2026-13-45T25:61:61Z"}', "schedule_time", "json.time"),
        (BatchGetRequest, '{"ids": ["a", null]}', "ids[1]", "json.type"),
        (BatchGetRequest, '{"ids": "a"}', "ids", "json.type"),
        (BatchCreateRequest, '{"requests": [[]]}', "requests[0]", "json.type"),
        (UpdateStatusRequest, '{"status": "COMPLETED"}', "status", "json.enum"),
        (UpdateStatusRequest, '{"status": true}', "status", "json.type"),
        (UpdateStatusRequest, '{"claim": {"alone": "true"}}', "claim.alone", "json.type"),
        (UpdateStatusRequest, '{"claim": {}, "token": {}}', "token", "field.oneof"),
        (CancelRequest, '{"reason": {"a": 1}}', "reason", "json.type"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(
    kind: type[Message], body: str, path: str, rule: str
) -> None:
    found = misfit(kind, body)
    assert (found.path, found.rule) == (path, rule)


def test_an_unknown_field_is_answered_with_the_fields_that_there_are() -> None:
    assert (
        misfit(StopRequest, '{"workr": "x"}').problem
        == "unknown field; the fields here are worker, type, all"
    )


odd_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["1s", "2026-01-01T00:00:00Z", "completed", "-0.000000001s", "0000-01-01T00:00:00Z"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [field.json_name for kind in REQUESTS for field in kind.DESCRIPTOR.fields]
                + [field.json_name for field in job_pb2.RetryPolicy.DESCRIPTOR.fields]
            )
            | st.text(),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(REQUESTS), odd_json)
def test_any_json_fills_the_message_as_protobuf_does_or_is_refused(kind: type[Message], data: Any) -> None:
    body = json.dumps(data)
    try:
        found = filled(kind, body)
    except Misfit as error:
        str(error).encode()
        return
    assert found == json_format.Parse(body, kind())
