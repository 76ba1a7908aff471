"""A client for HTTP/2 that leaves requests unfinished and resets them at once, which no library does."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import Self

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
FIRST_WINDOW = 65535
CANCEL = (8).to_bytes(4)
CHUNK = 16384


class Http2:
    """One connection. The server's answers are counted and dropped."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._stream = -1
        self._first_window = FIRST_WINDOW
        self._windows: dict[int, int] = defaultdict(lambda: self._first_window)
        self._windows[0] = FIRST_WINDOW
        self._more = asyncio.Condition()
        self._task = asyncio.create_task(self._read())
        self.was_reset = 0
        self.is_closed = False

    @classmethod
    async def open(cls, address: str) -> Self:
        host, port = address.split(":")
        made = cls(*await asyncio.open_connection(host, int(port)))
        made._writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        made._send(SETTINGS, 0, 0)
        return made

    def start(self, headers: dict[str, str], *, is_whole: bool) -> int:
        """Send the headers of a request. `is_whole`: it has no body."""
        self._stream += 2
        flags = END_HEADERS | (END_STREAM if is_whole else 0)
        self._send(HEADERS, flags, self._stream, _block(headers))
        return self._stream

    def reset(self, stream: int) -> None:
        self._send(RST_STREAM, 0, stream, CANCEL)

    async def send_body(self, stream: int, size: int) -> None:
        """Send so many bytes of a body, and not its end. Returns early if the connection ends."""
        while size and not self.is_closed:
            async with self._more:
                await self._more.wait_for(lambda: self.is_closed or self._room(stream) > 0)
            part = min(size, self._room(stream), CHUNK)
            self._windows[0] -= part
            self._windows[stream] -= part
            self._send(DATA, 0, stream, b" " * part)
            await self.drain()
            size -= part

    async def drain(self) -> None:
        try:
            await self._writer.drain()
        except ConnectionError:
            self.is_closed = True

    async def close(self) -> None:
        self._task.cancel()
        await closed(self._writer)

    def _room(self, stream: int) -> int:
        return min(self._windows[0], self._windows[stream])

    def _send(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        if self._writer.is_closing():
            self.is_closed = True
        if self.is_closed:
            return
        self._writer.write(len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload)

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3]))
                async with self._more:
                    self._take(head[3], head[4], int.from_bytes(head[5:]), payload)
                    self._more.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            async with self._more:
                self.is_closed = True
                self._more.notify_all()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE:
            self._windows[stream] += int.from_bytes(payload)
        elif kind == SETTINGS and not flags & ACK:
            for begin in range(0, len(payload), 6):
                if int.from_bytes(payload[begin : begin + 2]) == 4:
                    self._first_window = int.from_bytes(payload[begin + 2 : begin + 6])
            self._send(SETTINGS, ACK, 0)
        elif kind == RST_STREAM:
            self.was_reset += 1
            # What waits for room on this stream goes on, and is dropped by the server.
            self._windows[stream] = 1 << 30
        elif kind == GOAWAY:
            self.is_closed = True


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close the connection; the other side may have done so before."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def _block(headers: dict[str, str]) -> bytes:
    """HPACK: each header as a literal that is not indexed."""
    strings = [text.encode() for header in headers.items() for text in header]
    parts = [bytes([len(text)]) + text for text in strings]
    return b"".join(b"\0" + name + value for name, value in zip(parts[::2], parts[1::2], strict=True))
