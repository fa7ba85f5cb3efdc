"""Around every call: who may make it, what becomes of its errors, how long it took."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, TypeAlias

import grpc

from .security import Guard
from .status import DETAILS_KEY, status_of

Observe = Callable[[str, str, float], None]
"""Told of each finished call: method, name of the status code, seconds."""
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Around = Callable[[Any], AbstractAsyncContextManager[None]]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Denies what `guard` does not let pass, translates errors to statuses, and tells `observe` of every call."""

    def __init__(self, guard: Guard, observe: Observe, clock: Callable[[], float] = time.perf_counter) -> None:
        self._guard = guard
        self._observe = observe
        self._clock = clock

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
        return _wrapped(handler, lambda context: self._call(method, context))

    @asynccontextmanager
    async def _call(self, method: str, context: Any) -> AsyncIterator[None]:
        begin, code = self._clock(), grpc.StatusCode.OK
        try:
            self._guard.check(method, dict(context.invocation_metadata()))
            yield
            code = _code(context)
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except grpc.aio.AbortError:
            code = _code(context)
            raise
        except Exception as error:
            code, status = status_of(error, method)
            details = ((DETAILS_KEY, status.SerializeToString()),)
            await context.abort(code, status.message, details)
        finally:
            self._observe(method, code.name, self._clock() - begin)


def _code(context: Any) -> grpc.StatusCode:
    """What the handler set; nothing means OK."""
    code = context.code()
    return next((known for known in grpc.StatusCode if code in (known, known.value[0])), grpc.StatusCode.OK)


def _wrapped(handler: Any, around: Around) -> Handler:
    """The same handler inside the context that `around` makes of its call."""
    codec = (handler.request_deserializer, handler.response_serializer)

    def answering(behaviour: Any) -> Any:
        async def call(request: Any, context: Any) -> Any:
            async with around(context):
                return await behaviour(request, context)

        return call

    def streaming(behaviour: Any) -> Any:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            async with around(context):
                responses = behaviour(request, context)
                if not hasattr(responses, "__aiter__"):  # a handler that writes by itself
                    await responses
                    return
                async with aclosing(responses):
                    async for response in responses:
                        yield response

        return call

    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(answering(handler.unary_unary), *codec)
    if handler.stream_unary:
        return grpc.stream_unary_rpc_method_handler(answering(handler.stream_unary), *codec)
    if handler.unary_stream:
        return grpc.unary_stream_rpc_method_handler(streaming(handler.unary_stream), *codec)
    return grpc.stream_stream_rpc_method_handler(streaming(handler.stream_stream), *codec)
