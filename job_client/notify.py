"""Whom the server notifies of a job's end."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notify:
    """`url`: where the webhook is sent, see docs/howto/receive-webhooks.md."""

    url: str
