"""gRPC's server, in the process and on the event loop of HTTP's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import structlog
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from starlette.datastructures import State
from tritonclient.grpc import service_pb2

from service.calls.services import Services
from service.errors import DrainingError
from service.grpc.health import Health
from service.grpc.infer import Inference
from service.grpc.methods import METHODS, refuse
from service.grpc.rpc import Rpc, Rpcs, decode
from service.grpc.stream import Streams
from service.grpc.tls import credentials_of
from service.port import address_of
from service.settings import Settings

log = structlog.get_logger(__name__)

SERVICE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

MAX_MESSAGE_BYTES = (1 << 31) - 1  # gRPC's own
MAX_STREAMS = 1_024  # RPCs of one connection at a time; the client keeps others waiting
FLUSH_S = 0.5  # for answers that are made but not sent when the time to shut down is over


class Server:
    """The inference service, health and reflection.

    Args:
        state: Of the application.
    """

    def __init__(self, state: State) -> None:
        services: Services = state.services
        self._state = state
        self._settings = services.settings
        self._rpcs = Rpcs(self._settings.access_log, state.gate)
        self._inference = Inference(services)
        self._streams = Streams(self._inference, self._settings.max_body_bytes, state.gate)
        self._health = Health(state, ["", SERVICE.full_name])
        logging.getLogger("grpc._cython.cygrpc").addFilter(is_failure)
        self._server = grpc.aio.server(
            options=options(self._settings), maximum_concurrent_rpcs=self._settings.max_rpcs
        )
        handlers = {method.name: self._handler(method) for method in SERVICE.methods}
        generic = grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)
        self._server.add_generic_rpc_handlers((generic,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE.full_name, HEALTH, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self) -> None:
        """Listen.

        Raises:
            RuntimeError: The port is taken, or the address is none of this machine.
        """
        assert self._settings.grpc_port is not None, "gRPC is on"
        address = address_of(self._settings.host, self._settings.grpc_port)
        certificates = self._state.certificates
        if certificates is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials_of(certificates))
        await self._health.refresh()
        await self._server.start()
        log.info("gRPC started", address=address_of(self._settings.host, port))

    async def run(self) -> None:
        """Serve until the application stops; then answer what came, in the time there is."""
        following = asyncio.create_task(self._health.follow())
        await self._state.stopping.wait()
        following.cancel()
        await self._health.enter_graceful_shutdown()
        timeout_s = self._settings.shutdown_timeout_s
        refusing = asyncio.create_task(self._server.stop(timeout_s + 2 * FLUSH_S))
        self._streams.stop_reading()
        await first_of(self._rpcs.wait(timeout_s), self._state.hurrying.wait())
        self._inference.fail(DrainingError("the server stopped before it answered"))
        await self._rpcs.wait(FLUSH_S)
        await self._server.stop(FLUSH_S)  # who watches health, too
        await refusing

    def _handler(self, method: Any) -> Any:
        """What serves a method; it reads and gives bytes, for what is long is done in a thread."""
        path = f"/{SERVICE.full_name}/{method.name}"
        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(partial(self._serve_stream, path))
        if method.name == "ModelInfer":
            answer = self._inference.infer
        else:
            answer = partial(self._answer, method)
        return grpc.unary_unary_rpc_method_handler(partial(self._serve, path, answer))

    async def _serve(
        self,
        path: str,
        answer: Callable[[bytes, Rpc], Any],
        body: bytes,
        context: grpc.aio.ServicerContext,
    ) -> bytes:
        serving = self._rpcs.serve(path, context, partial(answer, body))
        del body  # see there: what gRPC aborts by keeps this frame too
        encoded: bytes = await serving
        return encoded

    async def _serve_stream(
        self, path: str, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext
    ) -> None:
        await self._rpcs.serve(path, context, partial(self._streams.serve, context), True)

    async def _answer(self, method: Any, body: bytes, _: Rpc) -> bytes:
        """The answer of a simple method."""
        if method.name not in METHODS:
            raise refuse(method.name)
        request = decode(GetMessageClass(method.input_type), body)
        fields = await METHODS[method.name](self._state, request)
        message = GetMessageClass(method.output_type)()
        # not all that REST says has a field
        encoded: bytes = ParseDict(fields, message, ignore_unknown_fields=True).SerializeToString()
        return encoded


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait until one of them is over."""
    tasks = [asyncio.ensure_future(it) for it in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def is_failure(record: logging.LogRecord) -> bool:
    """Whether this is to be logged: that a caller left before its answer was sent is not."""
    return not (record.exc_info and isinstance(record.exc_info[1], grpc.aio.InternalError))


def options(settings: Settings) -> list[tuple[str, int]]:
    """gRPC's own."""
    return [
        ("grpc.max_receive_message_length", min(settings.max_body_bytes, MAX_MESSAGE_BYTES)),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        ("grpc.so_reuseport", 1),  # every worker listens
        # find out about clients that vanished, and let clients do so of us
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]


@asynccontextmanager
async def serving(state: State) -> AsyncIterator[None]:
    """Serve beside the application, from its start to its end.

    Args:
        state: Of the application.

    Raises:
        RuntimeError: The port can't be had.
    """
    server = Server(state)
    await server.start()
    running = asyncio.create_task(server.run())
    try:
        yield
    finally:
        state.stopping.set()
        await running
