"""Reads the setting JOB_NOTIFY: where webhooks are sent by default. Pure."""

from collections.abc import Iterator

from api_server.domain.by_type import NEVER, read_by_type
from api_server.domain.notification import NotifyDefaults
from contract_runtime.webhooks import WEBHOOK_TYPE, is_webhook_url


def parse_notify(text: str) -> NotifyDefaults:
    """Reads for example `https://a.example/hook`, or `compute=https://a.example/hook,file=never`.

    A comma in a URL must be written as `%2C`. Raises ValueError.
    """
    return NotifyDefaults(*read_by_type(_parts(text), _url, "URL"))


def _parts(text: str) -> Iterator[tuple[str | None, str]]:
    for part in (part.strip() for part in text.split(",")):
        job_type, has_type, url = (each.strip() for each in part.partition("="))
        if part == NEVER or is_webhook_url(part) or not has_type:
            # A URL may have "=" in its query.
            yield None, part
        elif job_type == WEBHOOK_TYPE:
            raise ValueError(f"nobody can be notified of the end of {WEBHOOK_TYPE} jobs")
        else:
            yield job_type, url


def _url(text: str) -> str | None:
    if text == NEVER:
        return None
    if not is_webhook_url(text):
        raise ValueError(
            f"{text!r} must be {NEVER} or an ASCII URL that begins with http:// or https://, has a host, and "
            "has no user name, no fragment, no spaces and at most 1024 characters"
        )
    return text
