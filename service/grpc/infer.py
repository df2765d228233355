"""Inference over gRPC: a message on the one way that every protocol's requests go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from tritonclient.grpc.service_pb2 import (
    ModelInferRequest,
    ModelInferResponse,
    ModelStreamInferResponse,
)

from service.calls.asked import Asked, Handler
from service.calls.call import Call
from service.calls.exchange import TRACE_RESPONSE, Answer, Head
from service.calls.infer import ask
from service.calls.services import Services
from service.codec.infer import InferBody
from service.errors import ServiceError
from service.graphs.model import Arrays
from service.grpc.messages import fill_answer, read_message
from service.grpc.rpc import Rpc, decode
from service.repository.served import Served

PATH = "/inference.GRPCInferenceService/ModelInfer"


class Received(NamedTuple):
    """A request as it came.

    Args:
        message: A ModelInferRequest.
        num_bytes: Of it.
        on_stream: Its answer goes into a stream.
    """

    message: Any
    num_bytes: int
    on_stream: bool


class MessageCall(Call):
    """A call over gRPC.

    Args:
        services: Of the server.
        message: A ModelInferRequest.
        rpc: That it came in.
    """

    def __init__(self, services: Services, message: Any, rpc: Rpc) -> None:
        head = Head(PATH, message.model_name, message.model_version or None, b"", {})
        super().__init__(services, INFER, head, rpc.request_id, rpc.trace_parent)
        self._deadline_s = rpc.deadline_s
        self.outcome: asyncio.Future[Answer | ServiceError]
        self.outcome = asyncio.get_running_loop().create_future()

    def timeout_s(self, wanted_s: float | None, field: str) -> float:
        """The time left, which the RPC's deadline bounds too; see `Call.timeout_s`."""
        left_s = self._deadline_s - time.perf_counter()
        return min(super().timeout_s(wanted_s, field), left_s)

    def take(self, received: Received) -> None:
        """Go on with a message, if there is room for it."""
        try:
            self.holding.add(received.num_bytes)
        except ServiceError as error:
            self.fail(error)
        else:
            self.run(received)

    def send(self, answer: Answer) -> None:
        """Let the RPC return it."""
        self._settle(answer)

    def send_error(self, error: ServiceError) -> None:
        """Let the RPC fail."""
        self._settle(error)

    def _settle(self, outcome: Answer | ServiceError) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Inference:
    """Asks the models what messages ask.

    Args:
        services: Of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._calls: set[MessageCall] = set()

    async def infer(self, body: bytes, rpc: Rpc) -> bytes:
        """The answer to a ModelInferRequest, a ModelInferResponse.

        Raises:
            ServiceError: There is none.
        """
        return await self.ask(Received(await self.decode(body), len(body), False), rpc)

    async def decode(self, body: bytes) -> Any:
        """A ModelInferRequest; a long one is decoded in a thread.

        Raises:
            InvalidRequestError: It is none.
        """
        if len(body) > self._services.settings.inline_body_bytes:
            return await asyncio.to_thread(decode, ModelInferRequest, body)
        return decode(ModelInferRequest, body)

    async def ask(self, received: Received, rpc: Rpc) -> bytes:
        """The answer to a request; if nobody waits for it any more, what of it has not run is not.

        Raises:
            ServiceError: There is none.
        """
        call = MessageCall(self._services, received.message, rpc)
        self._calls.add(call)
        try:
            if call.enter():
                call.take(received)
            outcome = await call.outcome
        finally:
            call.drop()
            self._calls.discard(call)
            if call.trace_response and not received.on_stream:
                rpc.trailing.append((TRACE_RESPONSE, call.trace_response))
        if isinstance(outcome, ServiceError):
            try:
                raise outcome
            finally:
                del outcome, call, received  # the error keeps this frame: see `forget_frames`
        return outcome.body

    def fail(self, error: ServiceError) -> None:
        """Answer all that is under way with this error."""
        for call in list(self._calls):
            call.fail(error)


def _infer(call: Call, received: Received) -> Asked | Callable[[], Asked]:
    if received.num_bytes > call.settings.inline_body_bytes:
        return partial(_read, call, received, call.served)
    return _read(call, received, call.served)


INFER = Handler("grpc", _infer)


def _read(call: Call, received: Received, served: Served) -> Asked:
    read = read_message(received.message, served.signature)
    return ask(call, read, partial(_answer, served, read, received.on_stream))


def _answer(served: Served, read: InferBody, on_stream: bool, results: Arrays) -> Answer:
    """The answer's message, encoded here: what is long is answered in a thread."""
    if not on_stream:
        response = ModelInferResponse()
        fill_answer(response, served, read, results)
        return Answer(response.SerializeToString())
    streamed = ModelStreamInferResponse()
    fill_answer(streamed.infer_response, served, read, results)
    # of several answers to one request, which some models give, this would be the last
    streamed.infer_response.parameters["triton_final_response"].bool_param = True
    return Answer(streamed.SerializeToString())
