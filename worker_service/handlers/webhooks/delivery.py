"""The handler: signs a webhook, sends it, and says whether another try makes sense."""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contract_runtime.json_kind import kind_of
from contract_runtime.webhooks import WEBHOOK_TYPE
from worker_service.handler_api.errors import InputError, PermanentError, RetryAfter
from worker_service.handler_api.handler import HandlerSpec
from worker_service.handler_api.job import Job
from worker_service.handlers.fields import text_field
from worker_service.handlers.webhooks.addresses import Network
from worker_service.handlers.webhooks.post import NotConnected, PostFailed, Response, post
from worker_service.handlers.webhooks.retry_after import retry_after_seconds
from worker_service.handlers.webhooks.signature import signatures
from worker_service.handlers.webhooks.target import HostNotFound, Target, checked_addresses, target_of

SECONDS = 20.0
"""How long one try may take in all."""
GONE = 410
LANE = "webhook"
"""Webhooks have slots of their own: slow receivers must not take the slots of other handlers."""


class NotDelivered(RetryAfter):
    """The try failed. `delay`: the receiver asked for this time; None: the job's retry policy decides.

    It is no fault of this program, so the log has no trace of it.
    """

    def __init__(self, message: str, delay: float | None = None) -> None:
        super().__init__(0 if delay is None else delay, message)
        if delay is None:
            # The worker takes a delay that is no number as none.
            self.delay = math.nan


@dataclass(frozen=True, slots=True)
class Sender:
    """`keys`: those of all secrets. `allowed`: networks besides the public ones."""

    keys: Sequence[bytes]
    allowed: Sequence[Network]
    clock: Callable[[], float] = time.time

    async def deliver(self, job: Job) -> dict[str, Any]:
        """Raises InputError, PermanentError and NotDelivered."""
        target = target_of(text_field(job.payload, "url"))
        body = _body(job.payload)
        try:
            async with asyncio.timeout(SECONDS):
                response = await self._send(target, job.id, body)
        except TimeoutError:
            raise NotDelivered(f"the receiver did not answer within {SECONDS:g} s") from None
        except (HostNotFound, PostFailed) as error:
            raise NotDelivered(str(error)) from error
        return _result(response, datetime.fromtimestamp(self.clock(), UTC))

    async def _send(self, target: Target, webhook_id: str, body: bytes) -> Response:
        """Send to the first address that can be connected."""
        addresses = await checked_addresses(target, self.allowed)
        headers = self._headers(webhook_id, body)
        for address in addresses[:-1]:
            try:
                return await post(target, address, headers, body)
            except NotConnected:
                continue
        return await post(target, addresses[-1], headers, body)

    def _headers(self, webhook_id: str, body: bytes) -> Mapping[str, str]:
        timestamp = int(self.clock())
        return {
            "Content-Type": "application/json",
            "User-Agent": "distributed-processing-webhooks/1",
            # The same in each try, so that the receiver can drop repeats.
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signatures(self.keys, webhook_id, timestamp, body),
        }


def webhook_handler(keys: Sequence[bytes], allowed: Sequence[Network]) -> HandlerSpec:
    return HandlerSpec(WEBHOOK_TYPE, Sender(keys, allowed).deliver, run_in="loop", own_lane=LANE)


def _body(payload: Mapping[str, Any]) -> bytes:
    event = payload.get("event")
    if not isinstance(event, dict):
        raise InputError("event", f"must be an object, is {kind_of(event)}")
    return json.dumps(event, separators=(",", ":"), sort_keys=True).encode()


def _result(response: Response, now: datetime) -> dict[str, Any]:
    """The job's result, if the receiver has accepted the webhook. Every other status is worth another try,
    except 410: a wrong path, a redirect or an expired key on the other side is mended later.
    """
    status = response.status
    if 200 <= status < 300:
        return {"status": status}
    if status == GONE:
        raise PermanentError("the receiver answered 410 Gone: it wants no more webhooks")
    delay = retry_after_seconds(response.headers.get("retry-after"), now)
    raise NotDelivered(f"the receiver answered with status {status}", delay)
