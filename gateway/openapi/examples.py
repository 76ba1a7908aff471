"""Examples of requests, responses and errors. A test compares them with the schemas."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
ID = "0198f0a0-0000-7000-8000-000000000001"
_OPERATION_ID = "0198f0a0-0000-7000-8000-00000000000a"
_WORKER_ID = "worker-1/7c9e6679"
_CREATED: Json = {
    "id": ID,
    "type": "compute",
    "status": "queued",
    "payload": {"input": "hello"},
    "attempt": 0,
    "revision": 1,
    "workerId": "",
    "labels": {"team": "blue"},
    "createTime": "2026-01-31T12:00:00.000Z",
    "updateTime": "2026-01-31T12:00:00.000Z",
    "retryPolicy": {
        "maxAttempts": 3,
        "initialBackoff": "1s",
        "maxBackoff": "300s",
        "multiplier": 2,
        "jitter": 0.2,
    },
    "failures": 0,
    "losses": 0,
    "history": [],
}
_COMPLETED: Json = {
    **_CREATED,
    "status": "completed",
    "result": {"hash": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"},
    "attempt": 1,
    "revision": 3,
    "workerId": _WORKER_ID,
    "updateTime": "2026-01-31T12:00:00.020Z",
    "startTime": "2026-01-31T12:00:00.010Z",
    "endTime": "2026-01-31T12:00:00.020Z",
    "history": [
        {
            "attempt": 1,
            "workerId": _WORKER_ID,
            "startTime": "2026-01-31T12:00:00.010Z",
            "endTime": "2026-01-31T12:00:00.020Z",
            "outcome": "succeeded",
        }
    ],
}
_CANCELLED: Json = {
    **_CREATED,
    "status": "cancelled",
    "revision": 2,
    "error": {"code": "CANCELLED", "message": "not needed any more", "reason": "CANCELLED"},
    "endTime": "2026-01-31T12:00:01.000Z",
}
_FILTER: Json = {
    "statuses": ["failed"],
    "types": ["data"],
    "labels": [],
    "labelKeys": [],
    "errorReasons": ["TIMEOUT"],
    "workerIds": [],
}
_OPERATION: Json = {
    "id": _OPERATION_ID,
    "kind": "bulk_retry",
    "state": "running",
    "filter": _FILTER,
    "reason": "",
    "createTime": "2026-01-31T12:00:00.000Z",
    "updateTime": "2026-01-31T12:00:01.000Z",
    "matched": 420,
    "matchedCapped": False,
    "changed": 200,
    "refused": 0,
    "refusals": [],
}
_FLEET: Json = {"pendingWorkerIds": [], "stoppedWorkers": [], "stoppedTypes": []}

REQUESTS: Mapping[str, Json] = {
    "jobs.v1.JobService.Create": {
        "type": "compute",
        "payload": {"input": "hello"},
        "labels": {"team": "blue"},
    },
    "jobs.v1.JobService.BatchCreate": {
        "requests": [
            {"type": "compute", "payload": {"input": "one"}},
            {"type": "compute", "payload": {"input": "two"}},
        ]
    },
    "jobs.v1.JobService.BatchGet": {"ids": [ID], "view": "basic"},
    "jobs.v1.JobService.UpdateStatus": {"status": "processing"},
    "jobs.v1.JobService.Cancel": {"reason": "not needed any more"},
    "jobs.v1.JobService.Retry": {},
    "jobs.v1.JobService.BulkCancel": {
        "filter": {"statuses": ["queued"], "types": ["data"]},
        "reason": "wrong input",
        "dryRun": True,
    },
    "jobs.v1.JobService.BulkRetry": {
        "filter": {"types": ["data"], "errorReasons": ["TIMEOUT"]},
        "dryRun": True,
    },
    "jobs.v1.JobService.CancelOperation": {},
    "jobs.v1.WorkerService.Start": {},
    "jobs.v1.WorkerService.Stop": {"type": "data"},
}
"""The body of a request of each method that has one."""
RESPONSES: Mapping[str, Any] = {
    "jobs.v1.JobService.Create": {**_CREATED, "warnings": []},
    "jobs.v1.JobService.BatchCreate": {"outcomes": [{"job": _CREATED}], "warnings": []},
    "jobs.v1.JobService.Get": _COMPLETED,
    "jobs.v1.JobService.BatchGet": {"jobs": [_COMPLETED], "missingIds": []},
    "jobs.v1.JobService.List": {"jobs": [_COMPLETED], "nextPageToken": ""},
    "jobs.v1.JobService.Watch": f'data: {{"heartbeat": {{}}, "resumeToken": "{ID}:3"}}\n\n',
    "jobs.v1.JobService.WatchOperation": 'data: {"heartbeat": {}}\n\n',
    "jobs.v1.JobService.UpdateStatus": {**_CREATED, "status": "processing", "attempt": 1, "revision": 2},
    "jobs.v1.JobService.Cancel": _CANCELLED,
    "jobs.v1.JobService.Retry": {**_CREATED, "revision": 3},
    "jobs.v1.JobService.Delete": {},
    "jobs.v1.JobService.Explain": {
        "reason": "no_worker",
        "message": "no live worker takes jobs of the type data",
        "otherCauses": [],
        "next": "The job is dispatched as soon as such a worker is live.",
        "aheadCapped": False,
        "workerId": "",
    },
    "jobs.v1.JobService.ListTypes": {
        "types": [
            {
                "type": "compute",
                "accepted": True,
                "liveWorkers": 1,
                "workerNames": ["worker-1"],
                "stopped": False,
                "waiting": 0,
                "waitingCapped": False,
                "schemaProblem": "",
            }
        ]
    },
    "jobs.v1.JobService.BulkCancel": {**_OPERATION, "kind": "bulk_cancel", "state": "waiting"},
    "jobs.v1.JobService.BulkRetry": {**_OPERATION, "state": "waiting"},
    "jobs.v1.JobService.GetOperation": _OPERATION,
    "jobs.v1.JobService.ListOperations": {"operations": [_OPERATION], "nextPageToken": ""},
    "jobs.v1.JobService.CancelOperation": {**_OPERATION, "state": "cancelled"},
    "jobs.v1.JobService.Stats": {"types": [], "minutes": []},
    "jobs.v1.JobService.GetLog": {
        "entries": [
            {
                "number": 1,
                "time": "2026-01-31T12:00:00.015Z",
                "kind": "line",
                "attempt": 1,
                "workerId": _WORKER_ID,
                "level": "info",
                "logger": "thumbnails",
                "message": "opened the image",
            }
        ],
        "dropped": 0,
    },
    "jobs.v1.JobService.GetApiDocument": {"openapi": "3.1.1", "info": {}, "paths": {}, "components": {}},
    "jobs.v1.WorkerService.Start": {"consuming": True, **_FLEET},
    "jobs.v1.WorkerService.Stop": {"consuming": True, **_FLEET, "stoppedTypes": ["data"]},
    "jobs.v1.WorkerService.GetState": {
        "consuming": True,
        "workers": [],
        "stoppedWorkers": [],
        "stoppedTypes": [],
        "workersOmitted": 0,
    },
}
"""The response of each method."""
PARAMETERS: Mapping[str, str] = {
    "jobs": ID,
    "operations": _OPERATION_ID,
}
"""The id in a path, by the first word of the path."""
QUERY: Mapping[str, Any] = {"jobs.v1.BatchGetRequest.ids": [ID]}
"""Values of required query parameters, by the full name of the field. The page fills them in."""
_CHANGED = {"id": ID, "status": "completed", "attempt": "1"}
ERRORS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "TOKEN_MISSING": (
        "this server asks for a token: send the header `authorization: Bearer TOKEN`",
        {},
    ),
    "TOKEN_INVALID": (
        "the token is not valid: send one valid token as `authorization: Bearer TOKEN`",
        {},
    ),
    "ROLE_MISSING": (
        "jobs.v1.JobService/Create needs a token with the role operator or submitter; this one has reader",
        {"role": "reader", "needed": "operator,submitter"},
    ),
    "NOT_YOUR_JOB": (
        f"job {ID} is not yours: only its creator or an operator may cancel or retry it",
        {"id": ID},
    ),
    "TYPE_NOT_ALLOWED": (
        "this token is limited to jobs of the types data, not file",
        {"types": "file"},
    ),
    "JOB_NOT_FOUND": (f"there is no job {ID}", {"id": ID}),
    "OPERATION_NOT_FOUND": (f"there is no operation {_OPERATION_ID}", {"id": _OPERATION_ID}),
    "WORKER_NOT_FOUND": (
        "no worker named 'worker-9' has sent a heartbeat in the last hour",
        {"name": "worker-9"},
    ),
    "JOB_ID_TAKEN": (f"id: job {ID} already exists with a different request", {"id": ID}),
    "IDEMPOTENCY_KEY_REUSED": ("idempotency-key: 'k1' was used with a different request", {"key": "k1"}),
    "ILLEGAL_TRANSITION": (f"job {ID} cannot change from completed to processing", _CHANGED),
    "JOB_TERMINAL": (f"job {ID} has ended: it is completed", _CHANGED),
    "JOB_NOT_ENDED": (
        f"job {ID} has not ended: it is queued; cancel it before you delete it",
        {**_CHANGED, "status": "queued"},
    ),
    "ATTEMPT_SUPERSEDED": (f"job {ID} has been claimed again", {**_CHANGED, "attempt": "2"}),
    "HELD_BY_WORKER": (f"job {ID} is held by a worker", {**_CHANGED, "status": "processing"}),
    "WRONG_TYPE": (f"job {ID} has another type", {**_CHANGED, "status": "queued"}),
    "EXPIRED": (f"job {ID} has expired", {**_CHANGED, "status": "failed"}),
    "NOT_DUE": (f"job {ID} is not due yet", {**_CHANGED, "status": "queued"}),
    "RECORD_MISMATCH": (f"job {ID} has another content than the record", {**_CHANGED, "status": "queued"}),
    "FLEET_STOPPED": (f"job {ID} must not be claimed: the fleet is stopped", {"id": ID}),
    "WORKER_STOPPED": (f"job {ID} must not be claimed: the worker is stopped", {"id": ID}),
    "TYPE_STOPPED": (f"job {ID} must not be claimed: its type is stopped", {"id": ID}),
    "RESUME_TOKEN_EXPIRED": ("the changes since the resume token are not kept any more", {}),
    "SLOW_READER": ("the caller has read nothing for a minute", {}),
    "OVERLOADED": ("too many requests wait to be stored; try again", {}),
    "TOO_MANY_WAITS": ("5000 calls wait already; try again", {}),
    "TOO_MANY_WATCHES": ("2000 calls watch jobs already; try again", {}),
    "TOO_MANY_OPERATIONS": ("100 operations have not ended; wait, or cancel one", {}),
    "ANSWER_TOO_LARGE": ("the jobs are larger than 4 MiB; ask for fewer, or for the basic view", {}),
    "WORKER_SESSION_WRONG": ("worker w/1 is registered", {"worker_id": "w/1"}),
    "INTERNAL": ("internal error", {}),
    "DATABASE_UNAVAILABLE": ("the database cannot be reached; try again", {}),
    "API_SERVER_UNREACHABLE": ("no API server can be reached; try again", {}),
    "SERVER_DEADLINE_EXCEEDED": ("the call took too long; its outcome is unknown", {}),
}
"""The message and the metadata of an error with each reason."""
INVALID = ("type", "string.min_len", "value length must be at least 1 characters")
"""A broken rule: its field, its name and its description."""
