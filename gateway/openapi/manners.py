"""What the gateway and the servers do by REST and the contract does not say: headers, errors, texts.

docs/reference/api.md describes the same for people.
"""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
TITLE = "Distributed Processing"
DESCRIPTION = """\
A distributed job system. A client submits a job, a worker runs it, and its result can be read, listed and
watched.

- **JSON.** Field names are in lowerCamelCase. Times are RFC 3339; durations are seconds with an `s`, such as
  `"1.5s"`. A `null` is an absent field. An unknown field, a field or a key twice, an unknown query parameter
  and an integer beyond ±2^53 in an object of the user are refused with 400.
- **Errors** have the form of `Error`. `details` has `google.rpc.BadRequest`, with one entry for each broken
  rule, or `google.rpc.ErrorInfo` with a stable `reason`. Errors of the gateway itself have no details.
- **HEAD** works wherever GET does.
- **Compression.** Responses of 1 KiB and more are compressed for clients that send `Accept-Encoding: gzip`.
  Request bodies must not be compressed.
- **Safe repeats.** Calls with the extension `x-repeatable` are safe to send again: `always`, or with the
  header that it names.
- **Streams** are server-sent events. Each `data:` line is one JSON object of the schema in `x-event`.
- A colon in a path, as in `/jobs/{id}:cancel`, may be escaped as `%3A`.
"""
JOBS_SERVER: Json = {"url": "/", "description": "The jobs API, at the port that serves this document"}
WORKERS_SERVER: Json = {
    "url": "http://{host}:{port}",
    "description": "The control of workers, at a port of its own",
    "variables": {
        "host": {"default": "localhost", "description": "The host of the gateway"},
        "port": {"default": "4000", "description": "The port for the control of workers"},
    },
}
LICENSE: Json = {"name": "Apache 2.0", "identifier": "Apache-2.0"}

REQUIRED_IN_CODE = frozenset({"jobs.v1.CreateRequest.payload"})
"""Fields that the servers require, though the contract has no rule for it."""
WITH_IDEMPOTENCY_KEY = frozenset({"jobs.v1.JobService.Create", "jobs.v1.JobService.UpdateStatus"})
QUERY_BESIDES_BODY: Mapping[str, tuple[str, ...]] = {"jobs.v1.JobService.Create": ("wait",)}
"""Fields that a request with a body takes as query parameters too."""

PARAMETERS: Mapping[str, Json] = {
    "Request-Id": {
        "name": "Request-Id",
        "in": "header",
        "description": "Names the request in log lines and in the response: 1 to 64 letters, digits and "
        "`. _ ~ : / + = @ -`. Any other is replaced.",
        "schema": {"type": "string"},
    },
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes the call safe to send again: 1 to 255 printable ASCII characters, remembered "
        "for 24 hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of an earlier response. While the job, or the document, has not "
        "changed, the response is 304 without a body.",
        "schema": {"type": "string"},
    },
}
HEADERS: Mapping[str, Json] = {
    "Request-Id": {
        "description": "The request's id in the log lines of gateway and servers",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 64},
    },
    "ETag": {
        "description": "The job's revision, or a hash of the document, as a weak entity tag",
        "required": True,
        "schema": {"type": "string", "pattern": '^W/"[0-9a-f]+"$'},
        "example": 'W/"3"',
    },
    "Location": {
        "description": "The path of the job",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/jobs/0198f0a0-0000-7000-8000-000000000001",
    },
    "Idempotent-Replayed": {
        "description": "Present if an earlier call has used the same `Idempotency-Key`",
        "schema": {"const": "true"},
    },
    "Content-Encoding": {
        "description": "Present if the response is compressed",
        "schema": {"const": "gzip"},
    },
}

HTTP_STATUS: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status of each code that a call may fail with."""
SECURITY_SCHEMES: Json = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the API servers. They ask for one if their AUTH_MODE is tokens",
    }
}
SECURITY: list[Json] = [{}, {"token": []}]
"""With a token or without: the servers decide."""
GATEWAY_ERRORS: Mapping[int, tuple[str, int, str]] = {
    403: (
        "A web page of another site calls, or the host name is not allowed",
        7,
        "This host name is not allowed: add it to GATEWAY_HOSTS",
    ),
    413: ("The body is larger than 4 MiB", 3, "The body is larger than 4 MiB"),
    415: (
        "The body is compressed, or its content type is not JSON",
        3,
        "A body must be JSON: send the header content-type with the value application/json",
    ),
    431: ("The headers are larger than 24 KiB", 3, "The headers are larger than 24 KiB"),
}
"""Errors of the gateway itself: what they are, the code in the body, and its message."""
WITH_BODY_ONLY = frozenset({413})
WITHOUT_REQUEST_ID = frozenset({431})
"""The gateway answers before it has read the headers."""

ERROR: Json = {
    "type": "object",
    "description": "A google.rpc.Status: why a call failed",
    "properties": {
        "code": {
            "type": "integer",
            "format": "int32",
            "description": "The number of the gRPC code, such as 5 for NOT_FOUND",
        },
        "message": {"type": "string", "description": "What is wrong, for people"},
        "details": {
            "type": "array",
            "description": "Empty for errors of the gateway itself",
            "items": {"$ref": "#/components/schemas/ErrorDetail"},
        },
    },
    "required": ["code", "message", "details"],
}
ERROR_DETAIL: Json = {
    "type": "object",
    "properties": {"@type": {"type": "string"}},
    "required": ["@type"],
    "anyOf": [
        {
            "title": "BadRequest",
            "description": "With code INVALID_ARGUMENT: the rules that the request breaks, at most ten",
            "properties": {
                "@type": {"const": "type.googleapis.com/google.rpc.BadRequest"},
                "fieldViolations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "field": {
                                "type": "string",
                                "description": "The path of the field; empty for the request as a whole",
                            },
                            "description": {"type": "string", "description": "What is wrong, for people"},
                            "reason": {"type": "string", "description": "The broken rule, for programs"},
                        },
                        "required": ["field", "description", "reason"],
                    },
                },
            },
            "required": ["fieldViolations"],
        },
        {
            "title": "ErrorInfo",
            "description": "With all other codes: a stable reason",
            "properties": {
                "@type": {"const": "type.googleapis.com/google.rpc.ErrorInfo"},
                "reason": {"type": "string"},
                "domain": {"const": "jobs.v1"},
                "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["reason", "domain", "metadata"],
        },
        {
            "title": "RetryInfo",
            "description": "When to send the call again",
            "properties": {
                "@type": {"const": "type.googleapis.com/google.rpc.RetryInfo"},
                "retryDelay": {"type": "string", "pattern": r"^[0-9]{1,11}(\.[0-9]{1,9})?s$"},
            },
            "required": ["retryDelay"],
        },
    ],
}
