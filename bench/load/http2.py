"""A minimal gRPC client for unary calls, so that the benchmark measures the server and not the client.

It uses one connection, a fixed number of calls in flight, and serialized requests. A call costs less than
half of what grpcio's own client needs: it writes frames itself, and the header block is always the same
bytes. The server is asked to use no header table, so that `grpc-status` is in its trailers as text.
"""

import socket
import struct
from collections.abc import Iterator, Sequence

from bench.errors import BenchFailed

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE = 0x1, 0x4
MAX_WINDOW = 2**31 - 1
FIRST_WINDOW = 65_535
MAX_FRAME = 16_384
STATUS_OK = b"grpc-status\x010"
READ_BYTES = 256 * 1024
SILENCE = 30.0
"""Seconds without data from the server after which a call fails."""

_header = struct.Struct(">BHBBI")
_settings = struct.Struct(">HI")
_message = struct.Struct(">BI")
_increment = struct.Struct(">I")


class CallFailed(BenchFailed):
    """The server refused a call or closed the connection."""


class Http2Calls:
    """Calls one method of one server, again and again."""

    def __init__(self, address: str, method: str) -> None:
        """`method`: a path such as `/jobs.v1.JobService/Create`."""
        host, port = address.rsplit(":", 1)
        self._headers = _header_block(address, method)
        self._socket = socket.create_connection((host, int(port)), timeout=SILENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._window = FIRST_WINDOW
        self._next_stream = 1
        wide = _settings.pack(HEADER_TABLE_SIZE, 0) + _settings.pack(INITIAL_WINDOW_SIZE, MAX_WINDOW)
        more = _increment.pack(MAX_WINDOW - FIRST_WINDOW)
        self._socket.sendall(PREFACE + _frame(SETTINGS, 0, 0, wide) + _frame(WINDOW_UPDATE, 0, 0, more))

    def close(self) -> None:
        self._socket.close()

    def call(self, requests: Sequence[bytes], in_flight: int) -> list[bytes]:
        """The answers, in the order of the requests.

        Each must fit into one frame. Raises CallFailed, OSError.
        """
        answers: list[bytes] = [b""] * len(requests)
        first = self._next_stream
        self._next_stream += 2 * len(requests)
        sent = done = 0
        rest = b""
        while done < len(requests):
            out = []
            while (
                sent < len(requests) and sent - done < in_flight and self._window >= len(requests[sent]) + 5
            ):
                out.append(self._request(first + 2 * sent, requests[sent]))
                sent += 1
            if out:
                self._socket.sendall(b"".join(out))
            received = self._socket.recv(READ_BYTES)
            if not received:
                raise CallFailed("the server closed the connection")
            frames = _Frames(rest + received)
            for kind, flags, stream, payload in frames:
                if kind == DATA:
                    answers[(stream - first) // 2] += payload
                elif kind == HEADERS and flags & END_STREAM:
                    if STATUS_OK not in payload:
                        raise CallFailed(repr(payload))
                    done += 1
                elif kind != HEADERS:
                    self._control(kind, flags, stream, payload)
            rest = frames.rest
        return [answer[_message.size :] for answer in answers]

    def _request(self, stream: int, message: bytes) -> bytes:
        length = _message.size + len(message)
        if length > MAX_FRAME:
            raise ValueError(f"a request of {length} bytes does not fit into one frame")
        self._window -= length
        body = _frame(DATA, END_STREAM, stream, _message.pack(0, len(message)) + message)
        return _frame(HEADERS, END_HEADERS, stream, self._headers) + body

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE and stream == 0:
            self._window += _increment.unpack(payload)[0]
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self._socket.sendall(_frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind in (RST_STREAM, GOAWAY):
            raise CallFailed(f"frame {kind} on stream {stream}: {payload!r}")


class _Frames:
    """Iterates over the frames in `data`, as (kind, flags, stream, payload).

    After that, `rest` has the bytes of an incomplete frame.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.rest = b""

    def __iter__(self) -> Iterator[tuple[int, int, int, bytes]]:
        data, at, end = self._data, 0, len(self._data)
        unpack, size = _header.unpack_from, _header.size
        while end - at >= size:
            high, low, kind, flags, stream = unpack(data, at)
            after = at + size + (high << 16) + low
            if after > end:
                break
            yield kind, flags, stream, data[at + size : after]
            at = after
        self.rest = data[at:]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    length = len(payload)
    return _header.pack(length >> 16, length & 0xFFFF, kind, flags, stream) + payload


def _header_block(address: str, method: str) -> bytes:
    """The headers in HPACK: names as indices of the static table, values as text, nothing for the dynamic
    table.
    """
    post, http = b"\x83", b"\x86"
    path = b"\x04" + _text(method)
    authority = b"\x01" + _text(address)
    content_type = b"\x0f\x10" + _text("application/grpc")
    te = b"\x00" + _text("te") + _text("trailers")
    return post + http + path + authority + content_type + te


def _text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()
