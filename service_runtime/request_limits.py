"""What a request may take before it is decoded: bytes, items of its lists, and memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.rpc.code_pb2 import Code

from contract_runtime.errors import InvalidArgument, ServiceError, invalid
from contract_runtime.limits import DEFAULT_REQUEST_BYTES, json_request_bytes_of, request_bytes_of
from service_runtime.item_counts import MessageFields, counted_fields, too_many_items

SMALL = 64 * 1024
"""Requests up to this size are not counted: they never need much memory."""
MEMORY = 256 * 1024 * 1024
"""Bytes of memory of all requests above SMALL to one service that a server process serves at a time."""
NODE_BYTES = 128
"""Memory of one decoded message, such as a value in a payload, and of one value of parsed JSON."""
TEXT_FACTOR = 4
"""Memory of a byte of text while it is received, decoded and converted."""
WRAPPING = 4 * 1024
"""Bytes that the gateway may add to a JSON body: the fields from path and query."""
RETRY_DELAY = 1.0


class TooManyLargeRequests(ServiceError):
    """The present large requests take all the memory for them. The refused call had no effect."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"

    def __init__(self) -> None:
        super().__init__("the server has too many large requests; try again", retry_delay=RETRY_DELAY)


class RequestLimits(NamedTuple):
    """The limits of one method. `lists`: see item_counts. Those of a JSON body are counted after parsing."""

    max_bytes: int
    lists: MessageFields
    has_json: bool = False
    """Whether a part of the request is a JSON body."""

    @classmethod
    def of(cls, service: str, method: str) -> Self:
        """The limits of a native call. A service of gRPC itself has no options."""
        found = _find(service, method)
        if found is None:
            return cls(DEFAULT_REQUEST_BYTES, {})
        return cls(request_bytes_of(found), counted_fields(found.input_type))

    @classmethod
    def of_json(cls, service: str, method: str) -> Self:
        """The limits of the same call of the service's twin."""
        found = _find(service, method)
        if found is None:
            raise LookupError(f"{service}/{method} is not in the contract")
        return cls(json_request_bytes_of(found) + WRAPPING, counted_fields(found.input_type), has_json=True)

    def check(self, raw: bytes) -> None:
        """Raise InvalidArgument if the request has too many bytes or items."""
        if len(raw) > self.max_bytes:
            size = f"must have at most {self.max_bytes} bytes, has {len(raw)}"
            raise invalid("", "request.max_bytes", f"the request {size}")
        if len(raw) > SMALL and (found := too_many_items(raw, self.lists)):
            raise InvalidArgument([found])

    def memory(self, raw: bytes) -> int:
        """Bytes of memory that the decoded request takes at most. 0 for a small one."""
        if len(raw) <= SMALL:
            return 0
        nodes = _nodes(raw)
        if self.has_json:
            nodes = max(nodes, _json_nodes(raw))
        return TEXT_FACTOR * len(raw) + NODE_BYTES * nodes


class RequestRoom:
    """Admits requests that need up to `max_bytes` of memory together, or one larger request alone."""

    def __init__(self, max_bytes: int = MEMORY) -> None:
        self._max_bytes = max_bytes
        self._used = 0

    @contextmanager
    def admit(self, raw: bytes, limits: RequestLimits) -> Iterator[None]:
        """Count the request inside the block. Raises InvalidArgument, TooManyLargeRequests."""
        limits.check(raw)
        size = limits.memory(raw)
        if size and self._used and self._used + size > self._max_bytes:
            raise TooManyLargeRequests
        self._used += size
        try:
            yield
        finally:
            self._used -= size


def _find(service: str, method: str) -> MethodDescriptor | None:
    try:
        return descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
    except KeyError:
        return None


def _nodes(raw: bytes) -> int:
    """At least the number of maps' entries and of values in payloads. The others are bounded by the rules of
    their lists.

    Each one begins with the tag of a field with number 1, a byte that text rarely has.
    """
    return raw.count(b"\n")


def _json_nodes(raw: bytes) -> int:
    """At least the number of objects, lists and values in them."""
    return raw.count(b",") + raw.count(b"{") + raw.count(b"[")
