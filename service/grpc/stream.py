"""ModelStreamInfer: many requests on one stream, each answered when its answer is ready."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from grpc.aio import EOF, BaseError, ServicerContext
from tritonclient.grpc.service_pb2 import ModelStreamInferResponse

from service.errors import CallerGoneError, DrainingError, ServiceError
from service.grpc.infer import Inference, Received
from service.grpc.rpc import Rpc
from service.security.gate import Gate
from service.security.keys import Scope

MAX_IN_FLIGHT = 64
"""Requests of one stream whose answers are not sent; more are not read."""


class Streams:
    """The streams that are read.

    Args:
        inference: Answers their requests.
        max_bytes: Of one stream's requests in flight; more are not read.
        gate: What lets each request in, where there are API keys.
    """

    def __init__(self, inference: Inference, max_bytes: int, gate: Gate | None) -> None:
        self.inference = inference
        self.max_bytes = max_bytes
        self.gate = gate
        self._reading: set[asyncio.Task[None]] = set()

    async def serve(self, context: ServicerContext, rpc: Rpc) -> None:
        """Serve one stream to its end.

        Raises:
            CallerGoneError: The client left, or its deadline has passed.
            DrainingError: The server stops; all that was read is answered.
        """
        stream = Stream(self, context, rpc)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(stream.read(group))
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)
        if stream.is_over:
            raise CallerGoneError("the stream ended before its answers were sent")
        if reading.cancelled():
            raise DrainingError("the server is stopping")

    def stop_reading(self) -> None:
        """End every stream, once all that was read of it is answered."""
        for reading in self._reading:
            reading.cancel()


class Stream:
    """One stream.

    Args:
        streams: Those of the server.
        context: Of the RPC.
        rpc: The RPC.
    """

    def __init__(self, streams: Streams, context: ServicerContext, rpc: Rpc) -> None:
        self._inference = streams.inference
        self._max_bytes = streams.max_bytes
        self._gate = streams.gate
        self._context = context
        self._rpc = rpc
        self._num_requests = self._num_bytes = 0  # in flight
        self._answered = asyncio.Event()
        self.is_over = False
        """Whether nothing can be sent any more."""
        self._writing = asyncio.Lock()  # gRPC takes one message at a time

    async def read(self, group: asyncio.TaskGroup) -> None:
        """Read requests while there is room for them, and have each answered."""
        while not self.is_over:
            await self._wait_for_room()
            body = await self._context.read()
            if body is EOF:
                return
            self._num_requests += 1
            self._num_bytes += len(body)
            group.create_task(self._answer(body))

    async def _wait_for_room(self) -> None:
        """Who does not read answers is not read from either."""
        while self._num_requests >= MAX_IN_FLIGHT or self._num_bytes >= self._max_bytes:
            self._answered.clear()
            await self._answered.wait()

    async def _answer(self, body: bytes) -> None:
        """Send one request's answer; an error is an answer too, and the stream goes on."""
        answer = await self._ask(body)
        try:
            async with self._writing:
                await self._context.write(answer)
        except BaseError:
            self.is_over = True
        self._num_requests -= 1
        self._num_bytes -= len(body)
        self._answered.set()

    def _let_in(self) -> AbstractContextManager[None]:
        if self._gate is None:
            return nullcontext()
        return self._gate.admit(self._rpc.credentials, Scope.INFER)

    async def _ask(self, body: bytes) -> bytes:
        message: Any = None
        try:
            message = await self._inference.decode(body)
            with self._let_in():
                return await self._inference.ask(Received(message, len(body), True), self._rpc)
        except ServiceError as error:
            response = ModelStreamInferResponse(error_message=error.message)
            if message is not None:
                response.infer_response.id = message.id
            encoded: bytes = response.SerializeToString()
            return encoded
