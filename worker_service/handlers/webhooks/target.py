"""Where a webhook goes: the parts of its URL, and the addresses of its host."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from contract_runtime.webhooks import is_webhook_url
from worker_service.handler_api.errors import InputError, PermanentError
from worker_service.handlers.webhooks.addresses import Network, is_allowed

MAX_ADDRESSES = 3
"""How many addresses of a host are tried."""


@dataclass(frozen=True, slots=True)
class Target:
    """`path`: with the query."""

    is_secure: bool
    host: str
    port: int
    authority: str
    path: str


def target_of(url: str) -> Target:
    """Raises InputError."""
    if not is_webhook_url(url):
        raise InputError("url", "must be a URL as Notify.url of the contract")
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = (parts.hostname or "").rstrip(".")
    return Target(is_secure, host, parts.port or (443 if is_secure else 80), parts.netloc, path)


class HostNotFound(Exception):
    """The host has no address now."""


async def checked_addresses(target: Target, allowed: Sequence[Network]) -> list[str]:
    """Up to MAX_ADDRESSES of the host, all of which webhooks may be sent to.

    Connect to one of these, and do not resolve the name again: its next answer may be a private address.
    Raises PermanentError if one of all its addresses is not allowed, and HostNotFound.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise InputError("url", "must have a valid host") from None
    except OSError as error:
        raise HostNotFound("the host of the URL cannot be resolved") from error
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    # One private address among public ones is as suspicious as a private address alone. The message does not
    # name it: clients shall not learn the addresses of internal hosts.
    if not all(is_allowed(ipaddress.ip_address(address), allowed) for address in addresses):
        raise PermanentError(
            "the host of the URL has an address that is not public, and WEBHOOK_ALLOWED_NETWORKS does not "
            "allow it"
        )
    return addresses[:MAX_ADDRESSES]
