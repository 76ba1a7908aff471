"""Reads the setting JOB_NOTIFY: where webhooks are sent by default. Pure."""

import re

from api_server.domain.notification import NotifyDefaults
from contract_runtime.job_types import JOB_TYPE_PATTERN
from contract_runtime.webhooks import WEBHOOK_TYPE, is_webhook_url

NEVER = "never"
"""The word for jobs whose end is told to nobody."""


def parse_notify(text: str) -> NotifyDefaults:
    """Reads for example `https://a.example/hook`, or `compute=https://a.example/hook,file=never`.

    A comma in a URL must be written as `%2C`. Raises ValueError.
    """
    usual: list[str | None] = []
    of_type: dict[str, str | None] = {}
    for part in (part.strip() for part in text.split(",")):
        job_type, has_type, url = (each.strip() for each in part.partition("="))
        if part == NEVER or is_webhook_url(part) or not has_type:
            # A URL may have "=" in its query.
            usual.append(_url(part))
        elif re.fullmatch(JOB_TYPE_PATTERN, job_type) is None:
            raise ValueError(f"{job_type!r} is not the name of a job type")
        elif job_type == WEBHOOK_TYPE:
            raise ValueError(f"nobody can be notified of the end of {WEBHOOK_TYPE} jobs")
        elif job_type in of_type:
            raise ValueError(f"must name each type once, names {job_type} twice")
        else:
            of_type[job_type] = _url(url)
    if len(usual) > 1:
        raise ValueError("must have at most one URL without a type")
    return NotifyDefaults(usual[0] if usual else None, of_type)


def _url(text: str) -> str | None:
    if text == NEVER:
        return None
    if not is_webhook_url(text):
        raise ValueError(
            f"{text!r} must be {NEVER} or an ASCII URL that begins with http:// or https://, has a host, and "
            "has no user name, no fragment, no spaces and at most 1024 characters"
        )
    return text
