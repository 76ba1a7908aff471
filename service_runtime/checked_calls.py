"""One place where a call is decoded, checked and timed, and where its failure becomes a status.

Servicers get valid requests and raise ServiceError. A caller sees nothing else of a servicer's errors.
Requests arrive here as bytes, because gRPC's own decoding answers broken ones with UNKNOWN.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc.code_pb2 import Code
from grpc_status import rpc_status

from contract_runtime.errors import ServiceError, invalid
from contract_runtime.rest import REQUEST_ID_HEADER
from contract_runtime.statuses import error_to_status
from service_runtime.access.gate import Gate, OpenGate
from service_runtime.deadlines import Deadlines
from service_runtime.request_limits import RequestLimits, RequestRoom
from service_runtime.request_stream import RequestStream, RequestStreamContext, only_message
from service_runtime.validation import ContractValidator

log = structlog.get_logger()


MAX_REQUEST_ID = 64
RECEIVE_SECONDS = 60.0
"""How long the request of a call may take to arrive. The call's own time starts afterwards."""


class DeadlineExceeded(ServiceError):
    """The call took longer than the server allows."""

    code = Code.DEADLINE_EXCEEDED
    reason = "SERVER_DEADLINE_EXCEEDED"


class InternalError(ServiceError):
    """A fault of the server itself. The details are in the log only."""


class CheckedCalls:
    """Servicers register here instead of at the server; all four kinds of methods get the same checks.

    A gRPC interceptor could do the same, but gRPC asks it again for each call, which costs as much as
    validation.
    """

    def __init__(
        self,
        server: Any,
        validator: ContractValidator,
        deadline: float,
        stream_deadline: float | None,
        gate: Gate | None = None,
    ) -> None:
        """`deadline` and `stream_deadline` (seconds): see GrpcServer. `gate`: decides who may call; None:
        anybody may.
        """
        self._server = server
        self._gate = gate or OpenGate()
        self._validator = validator
        self._deadlines = Deadlines(deadline)
        self._stream_deadlines = None if stream_deadline is None else Deadlines(stream_deadline)
        self._receipts = Deadlines(RECEIVE_SECONDS)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Called by generated code. The methods are added as a generic handler: with registered methods
        grpcio waits for the next call of every method again after each call, which takes longer than an empty
        call itself.
        """
        # One for each service: requests of clients never take the room of workers.
        room = RequestRoom()
        checked = {
            name: self._checked(f"{service_name}/{name}", handler, self._limits_of(service_name, name), room)
            for name, handler in method_handlers.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service_name, checked),))

    def add_generic_rpc_handlers(self, generic_handlers: object) -> None:
        """Called by generated code with the same methods, for servers without registered methods. Does
        nothing.
        """

    def _limits_of(self, service_name: str, method: str) -> RequestLimits:
        return RequestLimits.of(service_name, method)

    def _checked(self, method: str, handler: Any, limits: RequestLimits, room: RequestRoom) -> Any:
        """The handler of a method, with checks, deadline and error translation.

        For gRPC all requests are streams, also single ones. Then gRPC hands over a call before its request,
        and also if the request never comes as a whole. Such a call would get no answer otherwise.
        """
        answer, guard = self._answer(handler, limits, room), self._gate.guard(method)
        is_stream = handler.request_streaming or handler.response_streaming
        deadlines = self._stream_deadlines if is_stream else self._deadlines

        async def call(incoming: Any, context: Any) -> Any:
            try:
                if guard is not None:
                    guard(context)
                if not handler.request_streaming:
                    incoming = await _in_time(only_message(context), self._receipts)
                if deadlines is None:
                    return await answer(incoming, context)
                return await _in_time(answer(incoming, context), deadlines)
            except ServiceError as error:
                failure = error
            except (Exception, asyncio.CancelledError) as error:
                if _ends_call(error):
                    raise
                failure = _internal(error, method, request_id_of(context))
            return await context.abort_with_status(self._status_of(failure, method))

        # gRPC serializes the responses of streams only, in context.write. There a failure is raised in the
        # servicer.
        serializer = handler.response_serializer if handler.response_streaming else None
        return _handler_factory(handler)(call, response_serializer=serializer)

    def _answer(
        self, handler: Any, limits: RequestLimits, room: RequestRoom
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        """Decodes and checks requests and runs the servicer. Returns the response as bytes; a stream writes
        its responses and returns None.
        """
        serve = _servicer_method(handler)
        deserialize, serialize = handler.request_deserializer, handler.response_serializer
        has_request_stream, has_response_stream = handler.request_streaming, handler.response_streaming

        async def answer(incoming: Any, context: Any) -> Any:
            if has_request_stream:
                context = RequestStreamContext(context, read_one)
                return await respond(RequestStream(context), context)
            with room.admit(incoming, limits):
                return await respond(await self._read(incoming, deserialize), context)

        async def read_one(raw: bytes) -> Any:
            limits.check(raw)
            return await self._read(raw, deserialize)

        async def respond(request: Any, context: Any) -> Any:
            served = serve(request, context)
            if not has_response_stream:
                return serialize(await served)
            if inspect.isasyncgen(served):
                await _write_all(served, context)
            else:
                # The servicer calls context.write itself.
                await served
            return None

        return answer

    async def _read(self, raw: bytes, deserialize: Callable[[bytes], Any]) -> Any:
        """The request, decoded and checked. Raises InvalidArgument."""
        request = self._deserialized(raw, deserialize)
        self._validator.check(request)
        return request

    def _deserialized(self, raw: bytes, deserialize: Callable[[bytes], Any]) -> Any:
        try:
            return deserialize(raw)
        except DecodeError:
            rule = "the request is not a valid protobuf message of its type, or is nested too deep"
            raise invalid("", "decode", rule) from None

    def _status_of(self, error: ServiceError, method: str) -> Any:
        """The status in the form that gRPC takes."""
        try:
            return rpc_status.to_status(error_to_status(error))
        except Exception as second:  # noqa: BLE001 - for example a message that is not valid Unicode
            return rpc_status.to_status(error_to_status(_internal(second, method, {})))


def _servicer_method(handler: Any) -> Any:
    return handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream


def _handler_factory(handler: Any) -> Any:
    """The function of grpc that makes a handler for a stream of requests, and the same responses."""
    if handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler
    return grpc.stream_unary_rpc_method_handler


async def _write_all(responses: Any, context: Any) -> None:
    """Write what the servicer's generator yields, then close it, however the call ended.

    gRPC does not close it: its `finally` would run when the garbage collector finds it.
    """
    async with aclosing(responses):
        async for response in responses:
            await context.write(response)


async def _in_time(answer: Awaitable[Any], deadlines: Deadlines) -> Any:
    """The answer. Raises DeadlineExceeded if it took too long."""
    task: Any = asyncio.current_task()
    deadlines.begin(task)
    try:
        return await answer
    except (ServiceError, grpc.aio.AbortError):
        raise
    except (Exception, asyncio.CancelledError):
        if deadlines.end(task):
            raise DeadlineExceeded(
                f"the call took over {deadlines.seconds:g} s; its outcome is unknown"
            ) from None
        raise
    finally:
        deadlines.end(task)


def _ends_call(error: BaseException) -> bool:
    """Whether the call is over: its caller has gone, the server has stopped, or the servicer called
    context.abort.

    Then no status can be sent any more.
    """
    if isinstance(error, asyncio.CancelledError):
        # If this is not so, something inside the servicer was cancelled. For that gRPC would send no status,
        # and the caller would wait.
        task: Any = asyncio.current_task()
        return bool(task.cancelling())
    return isinstance(error, grpc.aio.BaseError) and not isinstance(error, grpc.aio.UsageError)


def request_id_of(context: Any) -> dict[str, str]:
    """The id of the request as a field for log lines. Empty if the caller has sent none, or not as text."""
    for name, value in context.invocation_metadata() or ():
        if name == REQUEST_ID_HEADER and isinstance(value, str):
            return {"request_id": value[:MAX_REQUEST_ID]}
    return {}


def _internal(fault: BaseException, method: str, request_id: Mapping[str, str]) -> InternalError:
    """What a caller learns of a fault. The log has the details, if it can be written."""
    with suppress(Exception):
        log.error("call_failed", method=method, exc_info=fault, **request_id)
    return InternalError("the server failed to handle the call")
