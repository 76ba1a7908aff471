"""What REST answers have besides the body: status 201 and Location, ETag and 304, Idempotent-Replayed.

Native calls have none of it. A job's entity tag is its revision. It is weak, because the gateway may compress
an answer.
"""

from typing import Any

from api_server.domain.job import Job
from service_runtime.rest_context import RestContext, rest_of

CREATED, NOT_MODIFIED = 201, 304
IF_NONE_MATCH = "if-none-match"


def note_created(context: Any, job: Job, *, is_replay: bool) -> None:
    """The answer of Create. `is_replay`: an earlier call has used the Idempotency-Key."""
    if rest := rest_of(context):
        rest.status = CREATED
        rest.headers["location"] = f"/jobs/{job.id}"
        rest.headers["etag"] = entity_tag(job)
        _note_replay(rest, is_replay=is_replay)


def note_job(context: Any, job: Job, *, is_replay: bool = False) -> None:
    """The answer of a call that changes a job. `is_replay`: an earlier call has made this change."""
    if rest := rest_of(context):
        rest.headers["etag"] = entity_tag(job)
        _note_replay(rest, is_replay=is_replay)


def is_known(context: Any, job: Job) -> bool:
    """Whether the caller of Get has this version of the job, as If-None-Match says: the answer is 304."""
    rest = rest_of(context)
    return rest is not None and _is_known(rest, entity_tag(job))


def is_document_known(context: Any, tag: str) -> bool:
    """The same for the API document with this entity tag."""
    rest = rest_of(context)
    if rest is None:
        return False
    rest.headers["cache-control"] = "no-cache"
    rest.headers["x-content-type-options"] = "nosniff"
    return _is_known(rest, tag)


def _is_known(rest: RestContext, tag: str) -> bool:
    rest.headers["etag"] = tag
    if not any(matches(value, tag) for value in rest.request_headers(IF_NONE_MATCH)):
        return False
    rest.status = NOT_MODIFIED
    return True


def _note_replay(rest: RestContext, *, is_replay: bool) -> None:
    if is_replay:
        rest.headers["idempotent-replayed"] = "true"


def entity_tag(job: Job) -> str:
    return f'W/"{job.revision}"'


def matches(condition: str, tag: str) -> bool:
    """Whether If-None-Match names the tag. Tags are compared weakly, so `"3"` matches `W/"3"`."""
    wanted = (each.strip().removeprefix("W/") for each in condition.split(","))
    return condition.strip() == "*" or tag.removeprefix("W/") in wanted
