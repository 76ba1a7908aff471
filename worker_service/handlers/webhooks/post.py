"""One POST to one address, over HTTP/1.1, with limits for everything that the receiver can make long.

The address was checked before, so nothing here resolves a name, follows a redirect or uses a proxy.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import h11

from worker_service.handlers.webhooks.target import Target

CONNECT_SECONDS = 5.0
MAX_HEADER_BYTES = 16 * 1024
MAX_INTERIM = 10
"""How many interim responses (1xx) are read."""
TLS_END_SECONDS = 1.0


class PostFailed(Exception):
    """There was no response. The text says why, and can be shown to clients."""


class NotConnected(PostFailed):
    """Nothing was sent, so another address of the receiver can be tried."""


@dataclass(frozen=True, slots=True)
class Response:
    """The body is not read: nothing of it is needed, and it may be anything."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""


async def post(target: Target, address: str, headers: Mapping[str, str], body: bytes) -> Response:
    """Send `body` to `address`. Raises NotConnected, PostFailed. The caller limits the time."""
    reader, writer = await _connect(target, address)
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER_BYTES)
        writer.write(_request(connection, target, headers, body))
        await writer.drain()
        return await _response(connection, reader)
    except h11.RemoteProtocolError as error:
        raise PostFailed("the receiver did not answer in valid HTTP/1.1") from error
    except OSError as error:
        raise PostFailed("the connection to the receiver broke") from error
    finally:
        writer.close()


async def _connect(target: Target, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    options: dict[str, Any] = {}
    if target.is_secure:
        # The certificate must be that of the URL's host, though the connection goes to an address.
        options = {
            "ssl": _tls(),
            "server_hostname": target.host,
            "ssl_handshake_timeout": CONNECT_SECONDS,
            "ssl_shutdown_timeout": TLS_END_SECONDS,
        }
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await asyncio.open_connection(address, target.port, limit=MAX_HEADER_BYTES, **options)
    except ssl.SSLCertVerificationError as error:
        raise NotConnected(f"the receiver's certificate is not valid: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise NotConnected("the receiver does not speak TLS as expected") from error
    except (OSError, TimeoutError) as error:
        raise NotConnected("the receiver cannot be connected") from error


@cache
def _tls() -> ssl.SSLContext:
    """Checks the certificate and its host. Made once, because it reads all certificate authorities."""
    return ssl.create_default_context()


def _request(connection: h11.Connection, target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {
        "Host": target.authority,
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    request = h11.Request(method="POST", target=target.path, headers=list(fields.items()))
    events = (request, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(connection.send(event) or b"" for event in events)


async def _response(connection: h11.Connection, reader: asyncio.StreamReader) -> Response:
    interim = 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(MAX_HEADER_BYTES))
        elif isinstance(event, h11.InformationalResponse) and interim < MAX_INTERIM:
            interim += 1
        elif isinstance(event, h11.Response):
            return Response(
                event.status_code,
                {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers},
            )
        else:
            raise PostFailed("the receiver did not answer in valid HTTP/1.1")
