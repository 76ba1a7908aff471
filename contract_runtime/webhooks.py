"""What both services know about webhooks. The rule of the URL stands in proto/jobs/v1/notify.proto, too."""

import re

WEBHOOK_TYPE = "webhook-delivery"
"""The type of the jobs that deliver webhooks. Only the API server creates them."""
MAX_URL = 1024
"""Characters."""
_HOST = r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?)"
_PORT = r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
_REST = r"([/?][!$-;=?-\[\]_a-z~]*)?"
URL_PATTERN = f"^https?://{_HOST}{_PORT}{_REST}$"


def is_webhook_url(url: str) -> bool:
    """Whether a webhook may be sent there, as far as the text tells."""
    return len(url) <= MAX_URL and re.fullmatch(URL_PATTERN, url) is not None
