"""The errors of a method as responses: those in its comment, those of its service, and the gateway's own."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.rpc.code_pb2 import Code

from gateway.openapi import examples, manners
from gateway.openapi.comments import reasons_in

Json = dict[str, Any]
RETRY_INFO = "RetryInfo"
REQUEST_ID = {"Request-Id": {"$ref": "#/components/headers/Request-Id"}}


def service_responses(service: str, errors: Mapping[str, str]) -> dict[str, Json]:
    """The components to which the responses of all methods of a service refer, by their names."""
    return {_name(service, code): _response([(code, text)]) for code, text in errors.items()}


def gateway_responses() -> dict[str, Json]:
    """The components for what the gateway answers by itself."""
    return {_gateway_name(status): _gateway_response(status) for status in manners.GATEWAY_ERRORS}


def error_responses(
    of_method: Mapping[str, str], service: str, of_service: Mapping[str, str], *, has_body: bool
) -> Iterator[tuple[str, Json]]:
    """The responses of a method of a service, by their status."""
    by_status: dict[int, list[tuple[str, str]]] = {}
    # Any query can be malformed.
    for code, text in {"INVALID_ARGUMENT": "The request does not fit the API.", **of_method}.items():
        by_status.setdefault(manners.HTTP_STATUS[code], []).append((code, text))
    found: dict[int, Json] = {status: _response(errors) for status, errors in by_status.items()}
    for code in of_service:
        found.setdefault(manners.HTTP_STATUS[code], _reference(_name(service, code)))
    for status in manners.GATEWAY_ERRORS:
        if has_body or status not in manners.WITH_BODY_ONLY:
            found[status] = _reference(_gateway_name(status))
    for status in sorted(found):
        yield str(status), found[status]


def _name(service: str, code: str) -> str:
    return f"{service}.{code.lower()}"


def _gateway_name(status: int) -> str:
    return f"Gateway.{status}"


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/responses/{name}"}


def _response(errors: list[tuple[str, str]]) -> Json:
    """The response with one HTTP status, for all codes that have it."""
    bodies: dict[str, Json] = {}
    for code, text in errors:
        if code == "INVALID_ARGUMENT":
            bodies[code] = {"value": _body(code, examples.INVALID[2], _bad_request())}
        else:
            for reason in reasons_in(text) or [code]:
                bodies[reason] = {"value": _body_of(code, reason, has_retry_info=RETRY_INFO in text)}
    return _json_response(" ".join(f"{code}: {text}" for code, text in errors), bodies)


def _gateway_response(status: int) -> Json:
    description, code, message = manners.GATEWAY_ERRORS[status]
    body = {"code": code, "message": message, "details": []}
    response = _json_response(description, {"gateway": {"value": body}})
    if status in manners.WITHOUT_REQUEST_ID:
        del response["headers"]
    return response


def _json_response(description: str, bodies: dict[str, Json]) -> Json:
    return {
        "description": description,
        "headers": dict(REQUEST_ID),
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Error"}, "examples": bodies}
        },
    }


def _body_of(code: str, reason: str, *, has_retry_info: bool) -> Json:
    """Raises KeyError if a reason has no example."""
    message, metadata = examples.ERRORS[reason]
    details: list[Json] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": "jobs.v1",
            "metadata": dict(metadata),
        }
    ]
    if has_retry_info:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"})
    return _body(code, message, *details)


def _bad_request() -> Json:
    field, reason, description = examples.INVALID
    violation = {"field": field, "description": description, "reason": reason}
    return {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}


def _body(code: str, message: str, *details: Json) -> Json:
    return {"code": Code.Value(code), "message": message, "details": list(details)}
