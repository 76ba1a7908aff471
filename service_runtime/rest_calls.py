"""The twins of the services, which the gateway calls for REST requests (contract_runtime/rest.py).

A request with a body comes as the fields from its path and query, and the body as the client has sent it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.code_pb2 import Code
from structlog.contextvars import bind_contextvars

from contract_runtime.errors import ServiceError, invalid
from contract_runtime.rest import BODY_NUMBER, STATUS_HEADER, native_of, twin_of
from service_runtime.checked_calls import CheckedCalls, request_id_of
from service_runtime.json_body import Misfit, parse
from service_runtime.json_messages import fill
from service_runtime.repeated_fields import list_field, repeated_field
from service_runtime.request_limits import RequestLimits, RequestRoom
from service_runtime.rest_context import RestContext
from service_runtime.wire_fields import top_level_fields

LARGE = 64 * 1024
"""Bodies above this size are parsed in a thread, so that they do not delay other calls."""
LARGE_AT_A_TIME = 2
"""Parsed JSON may need twenty times the memory of its text."""
CONFLICT = 409
CHALLENGE = ("www-authenticate", 'Bearer realm="jobs"')
"""HTTP wants it in each answer with status 401."""


class RestCalls(CheckedCalls):
    """Registers servicers under the names of the twins."""

    def __init__(self, *arguments: Any) -> None:
        """The arguments of CheckedCalls."""
        super().__init__(*arguments)
        self._large_bodies = asyncio.Semaphore(LARGE_AT_A_TIME)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        super().add_registered_method_handlers(twin_of(service_name), method_handlers)

    def _limits_of(self, service_name: str, method: str) -> RequestLimits:
        return RequestLimits.of_json(native_of(service_name), method)

    def _answer(
        self, handler: Any, limits: RequestLimits, room: RequestRoom
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        answer = super()._answer(handler, limits, room)
        has_response_stream = handler.response_streaming

        async def rest_answer(incoming: Any, context: Any) -> Any:
            rest = RestContext(context)
            # Each call is a task, so this is for the log lines of this call only.
            bind_contextvars(**request_id_of(context))
            response = await answer(incoming, rest)
            if not has_response_stream:
                await rest.send_headers()
            return response

        return rest_answer

    async def _read(self, raw: bytes, deserialize: Callable[[bytes], Any]) -> Any:
        """The request: the fields from path and query, and those from the body."""
        request = self._deserialized(raw, deserialize)
        bodies = self._deserialized(raw, _Bodies.FromString).contents
        request.DiscardUnknownFields()
        if request.ListFields() and (repeated := repeated_field(_without_bodies(raw), request)):
            several = list_field(request.DESCRIPTOR, repeated)
            advice = f"; for several values use {several}" if several else ""
            raise invalid(repeated, "field.once", f"must occur only once in the request{advice}")
        body = self._deserialized(b"".join(bodies), HttpBody.FromString).data
        try:
            if len(body) > LARGE:
                async with self._large_bodies:
                    await asyncio.to_thread(_fill, request, body)
            else:
                _fill(request, body)
        except Misfit as error:
            raise invalid(error.path, error.rule, error.problem) from None
        self._validator.check(request)
        return request

    def _status_of(self, error: ServiceError, method: str) -> Any:
        status = super()._status_of(error, method)
        if error.code == Code.FAILED_PRECONDITION:
            # Envoy would answer 400, but the request is right, and the job is in another state.
            status = status._replace(
                trailing_metadata=(*status.trailing_metadata, (STATUS_HEADER, str(CONFLICT)))
            )
        elif error.code == Code.UNAUTHENTICATED:
            status = status._replace(trailing_metadata=(*status.trailing_metadata, CHALLENGE))
        return status


def _fill(request: Message, body: bytes) -> None:
    """Add the fields in the body. A field of the path may also be in the body, with the same value.

    Raises Misfit.
    """
    bound = request.ListFields()
    data = parse(body)
    if not bound:
        fill(request, data)
        return
    in_body = type(request)()
    fill(in_body, data)
    present = {field.name for field, _ in in_body.ListFields()}
    for field, value in bound:
        if field.name in present and getattr(in_body, field.name) != value:
            raise Misfit("must be the same in the body as in the path or the query", "field.once", field.name)
        in_body.ClearField(field.name)
    request.MergeFrom(in_body)


def _without_bodies(raw: bytes) -> bytes:
    """The fields from path and query."""
    return b"".join(field for number, _, field in top_level_fields(raw) if number != BODY_NUMBER)


def _bodies_class() -> Any:
    """A message with the contents of the field for the body: one or several, which protobuf merges."""
    file = FileDescriptorProto(name="service_runtime/bodies.proto", syntax="proto3")
    file.message_type.add(name="Bodies").field.add(
        name="contents",
        number=BODY_NUMBER,
        type=FieldDescriptorProto.TYPE_BYTES,
        label=FieldDescriptorProto.LABEL_REPEATED,
    )
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("Bodies"))


_Bodies = _bodies_class()
