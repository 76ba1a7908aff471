"""One place where a call is decoded, checked, timed and, if it fails, turned into a status.

Servicers take valid requests and raise ServiceError; nothing else of theirs reaches a caller. The request arrives here
as bytes, because gRPC's own decoding would answer broken ones with UNKNOWN.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc.code_pb2 import Code
from grpc_status import rpc_status

from contract_runtime.errors import ServiceError, invalid
from contract_runtime.statuses import error_to_status
from service_runtime.deadlines import Deadlines
from service_runtime.repeated_fields import repeated_field
from service_runtime.validation import ContractValidator

log = structlog.get_logger()

TRANSCODED = "x-envoy-original-path"
"""A header that the gateway gives to what it has made of a REST request."""
FEW_BYTES = 4096


class DeadlineExceeded(ServiceError):
    """The server gave the call no more time."""

    code = Code.DEADLINE_EXCEEDED
    reason = "SERVER_DEADLINE_EXCEEDED"


class InternalError(ServiceError):
    """A fault of the server's own; the log has it."""


class CheckedCalls:
    """Where servicers register: each of their unary methods goes to the server with what all calls need around it.

    A gRPC interceptor could do the same, but is asked anew for each call, which costs as much as validation.
    """

    def __init__(self, server: Any, deadline: float, validator: ContractValidator) -> None:
        """`deadline`: seconds after which a call is given up, for callers that set none of their own."""
        self._server = server
        self._deadline = deadline
        self._deadlines = Deadlines(deadline)
        self._validator = validator

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Called by generated code. They become generic handlers: for each call grpcio waits anew for a next one of every
        registered method, which takes longer than an empty call itself.
        """
        checked = {
            name: self._checked(f"{service_name}/{name}", handler)
            for name, handler in method_handlers.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service_name, checked),))

    def add_generic_rpc_handlers(self, generic_handlers: object) -> None:
        """Called by generated code, for servers that know no registered handlers; the same ones."""

    def _checked(self, method: str, handler: Any) -> Any:
        """Decode, check the contract's rules, call, translate failures."""
        if handler.unary_unary is None:
            return handler

        async def call(raw: bytes, context: Any) -> Any:
            try:
                request = self._decode(raw, handler.request_deserializer, context)
                return await self._answer(handler.unary_unary(request, context))
            except ServiceError as error:
                failure = error
            except grpc.aio.AbortError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, gRPC would tell the caller about it
                failure = _internal(error, method)
            return await context.abort_with_status(_status_of(failure, method))

        return grpc.unary_unary_rpc_method_handler(call, response_serializer=handler.response_serializer)

    async def _answer(self, answer: Awaitable[Any]) -> Any:
        task: Any = asyncio.current_task()
        self._deadlines.begin(task)
        try:
            return await answer
        except (ServiceError, grpc.aio.AbortError):
            raise
        except (Exception, asyncio.CancelledError):
            if self._deadlines.end(task):
                raise DeadlineExceeded(
                    f"the call took over {self._deadline:g} s; its outcome is unknown"
                ) from None
            raise
        finally:
            self._deadlines.end(task)

    def _decode(self, raw: bytes, deserialize: Callable[[bytes], Any], context: Any) -> Any:
        try:
            request = deserialize(raw)
        except DecodeError:
            rule = "the request is not a valid protobuf message of its type, or is nested too deep"
            raise invalid("", "decode", rule) from None
        _check_repeats(raw, request, context)
        self._validator.check(request)
        return request


def _check_repeats(raw: bytes, request: Any, context: Any) -> None:
    """Raise InvalidArgument if it came by REST and has a field twice. What has none is as long as its bytes; of few bytes,
    to see that takes less than to look at the headers.
    """
    if len(raw) < FEW_BYTES and request.ByteSize() == len(raw):
        return
    if _is_rest(context) and (repeated := repeated_field(raw, request)):
        raise invalid(repeated, "field.once", "must stand in the request once")


def _is_rest(context: Any) -> bool:
    return any(name == TRANSCODED for name, _ in context.invocation_metadata())


def _internal(fault: Exception, method: str) -> InternalError:
    """What a caller hears of a fault. The log has more, if it can be written."""
    with suppress(Exception):
        log.error("call_failed", method=method, exc_info=fault)
    return InternalError("the server failed to handle the call")


def _status_of(error: ServiceError, method: str) -> Any:
    """As gRPC takes it."""
    try:
        return rpc_status.to_status(error_to_status(error))
    except Exception as second:  # noqa: BLE001 - such as a message that is no Unicode
        return rpc_status.to_status(error_to_status(_internal(second, method)))
