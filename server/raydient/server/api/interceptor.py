"""Handles every call: admission before the request is read, decoding, errors as statuses, duration."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

import grpc

from raydient.chunks import serialized
from raydient.server.errors import Exhausted, InvalidRequest, Late, Unsupported

from .security import OPEN_METHODS, Guard
from .status import DETAILS_KEY, status_of

CALLS = 2000
"""Maximum number of calls in progress, watches included; further calls are refused."""
REQUEST_SECONDS = 60.0
"""Time for one request message to arrive once the server waits for it."""
Observe = Callable[[str, str, float], None]
"""Receives each finished call: method, name of the status code, seconds."""
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls that `guard` does not admit, decodes requests, translates errors to statuses, reports to `observe`.

    Every method becomes a stream-stream handler that reads and writes bytes itself. gRPC's handlers of single requests
    decode before the interceptor runs: without a token check, and with UNKNOWN and a traceback for bytes that are not
    a message.
    """

    def __init__(
        self,
        guard: Guard,
        observe: Observe,
        clock: Callable[[], float] = time.perf_counter,
        calls: int = CALLS,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._guard = guard
        self._observe = observe
        self._clock = clock
        self._limit = calls
        self._request_seconds = request_seconds
        self._calls = 0

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method

        async def call(_: Any, context: Any) -> None:
            async with self._call(method, context), aclosing(self._requests(handler, context)) as requests:
                await _answer(handler, requests, context)

        return grpc.stream_stream_rpc_method_handler(call, None, serialized)

    @asynccontextmanager
    async def _call(self, method: str, context: Any) -> AsyncIterator[None]:
        begin, code = self._clock(), grpc.StatusCode.OK
        self._calls += 1
        try:
            self._guard.check(method, dict(context.invocation_metadata()))
            if self._calls > self._limit and method not in OPEN_METHODS:
                raise Exhausted(f"{self._limit} calls are in progress; try again", reason="TOO_MANY_CALLS")
            yield
            code = _code(context)
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except grpc.aio.AbortError:
            code = _code(context)
            raise
        except grpc.aio.InternalError:  # a write to a client that has disconnected
            code = grpc.StatusCode.CANCELLED
            raise asyncio.CancelledError from None
        except Exception as error:
            code, status = status_of(error, method)
            try:
                await context.abort(code, status.message, ((DETAILS_KEY, status.SerializeToString()),))
            except grpc.aio.InternalError:
                code = grpc.StatusCode.CANCELLED
                raise asyncio.CancelledError from None
        finally:
            self._calls -= 1
            self._observe(method, code.name, self._clock() - begin)

    async def _requests(self, handler: Any, context: Any) -> AsyncGenerator[Any, None]:
        """The call's requests, decoded. Raises InvalidRequest, Late."""
        while True:
            try:
                async with asyncio.timeout(self._request_seconds):
                    data = await context.read()
            except TimeoutError:
                message = f"no request arrived within {self._request_seconds:g} seconds"
                raise Late(message, reason="REQUEST_TOO_SLOW") from None
            if data is grpc.aio.EOF:
                return
            try:
                request = handler.request_deserializer(data)
            except Exception as error:  # any exception of the decoder means that the bytes are invalid
                message = f"the {len(data)} bytes of the request are not a message of this method"
                raise InvalidRequest.of("", message, reason="MALFORMED_REQUEST") from error
            yield request


async def _answer(handler: Any, requests: AsyncIterator[Any], context: Any) -> None:
    """Run a method's own handler on decoded requests and write its responses."""
    behaviour = handler.unary_unary or handler.stream_unary or handler.unary_stream or handler.stream_stream
    request = requests if handler.request_streaming else await anext(requests, None)
    if request is None:
        raise InvalidRequest.of("", "the call ended without a request", reason="MALFORMED_REQUEST")
    try:
        answer = behaviour(request, context)
    except NotImplementedError as error:  # a library's service may leave methods unimplemented
        raise Unsupported("this service does not implement the method", reason="METHOD_NOT_IMPLEMENTED") from error
    if not hasattr(answer, "__aiter__"):
        response = await answer
        if not handler.response_streaming:  # a streaming handler has written its responses itself
            await context.write(response)
        return
    async with aclosing(answer):
        async for response in answer:
            await context.write(response)


def _code(context: Any) -> grpc.StatusCode:
    """The status code that the handler has set; OK without one."""
    code = context.code()
    return next((known for known in grpc.StatusCode if code in (known, known.value[0])), grpc.StatusCode.OK)
