"""Who is notified of a job's end, and the job that delivers the webhook. Pure.

A webhook is delivered by a job of its own, so it is durable, is retried, and can be read, explained and
cancelled like any other job.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from uuid import UUID

from api_server.domain.job import Job, Status
from api_server.domain.notify import Notify
from api_server.domain.retry import RetryPolicy
from contract_runtime.content_digest import canonical_payload, content_digest
from contract_runtime.structs import dict_to_struct
from contract_runtime.value import value
from contract_runtime.webhooks import WEBHOOK_TYPE

RETRY_POLICY = RetryPolicy(
    max_attempts=13,
    initial_backoff=timedelta(seconds=5),
    max_backoff=timedelta(hours=24),
    multiplier=3.0,
    jitter=0.2,
)
"""Waits of 5 s, 15 s, 45 s and so on, up to 24 h: tries over three and a half days."""
ATTEMPT_TIMEOUT = timedelta(seconds=60)
"""The handler has shorter limits of its own. This one holds if they fail."""
JOB_LABEL = "webhook.job"
"""The label of a webhook's job with the id of the job that has ended."""


@value
class EndedJob:
    """What a notification tells about a job that has ended, and where to send it."""

    id: UUID
    type: str
    status: Status
    revision: int
    end_time: datetime
    url: str


@value
class NotifyDefaults:
    """Who is notified if a request does not say it: URLs, None: nobody.

    `of_type`: types that have another URL than `usual`.
    """

    usual: str | None = None
    of_type: Mapping[str, str | None] = field(default_factory=dict, hash=False)

    def __bool__(self) -> bool:
        return self.usual is not None or any(self.of_type.values())

    def for_type(self, job_type: str) -> Notify | None:
        url = self.of_type.get(job_type, self.usual)
        return None if url is None else Notify(url, is_default=True)


NOBODY = NotifyDefaults()


def webhook_job(ended: EndedJob) -> Job:
    """The job that delivers the webhook.

    It depends on nothing but `ended`. So when it is stored twice, for example after a crash, it is the same
    job. Another end of the same job, after Retry, has another revision, and another webhook.
    """
    event = {
        "type": f"job.{ended.status.value}",
        "timestamp": _utc(ended.end_time),
        "data": {
            "id": str(ended.id),
            "type": ended.type,
            "status": ended.status.value,
            "revision": ended.revision,
        },
    }
    job_id, payload = webhook_id(ended), {"url": ended.url, "event": event}
    labels = {JOB_LABEL: str(ended.id)}
    return Job(
        job_id,
        WEBHOOK_TYPE,
        Status.QUEUED,
        payload,
        create_time=ended.end_time,
        update_time=ended.end_time,
        labels=labels,
        retry_policy=RETRY_POLICY,
        timeout=ATTEMPT_TIMEOUT,
        content_digest=content_digest(
            job_id.hex,
            WEBHOOK_TYPE,
            canonical_payload(dict_to_struct(payload)),
            labels,
            RETRY_POLICY.max_attempts,
            ATTEMPT_TIMEOUT // timedelta(microseconds=1),
        ),
    )


def webhook_id(ended: EndedJob) -> UUID:
    """A UUIDv7 with the time of the end, because lists rely on the time in ids. The rest is a hash."""
    milliseconds = round(ended.end_time.timestamp() * 1000)
    digest = hashlib.sha256(b"%b%d" % (ended.id.bytes, ended.revision)).digest()
    random_bits = int.from_bytes(digest[:10])
    high, low = random_bits >> 62 & 0xFFF, random_bits & (1 << 62) - 1
    return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def _utc(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
