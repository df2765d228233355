"""One process that serves: the application on uvicorn, with a drain before the stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.main import STARTUP_FAILURE  # type: ignore[attr-defined]

from service.api.browsers import SECURITY_HEADERS, TLS_HEADERS
from service.app import create_app
from service.grpc.port import ReservedPort
from service.lane.connection import Lane
from service.port import Port
from service.security.files import with_files
from service.security.fitting import with_memory
from service.security.tls import Certificates
from service.settings import Settings

log = structlog.get_logger(__name__)

TELL_S = 0.1  # for those who wait to be told that they wait in vain
TICKS_PER_RENEWAL = 50  # of uvicorn, a tenth of a second each
MAX_ADOPTIONS = 1_024


class AppServer(uvicorn.Server):
    """uvicorn, but the application hears when it stops, not only when it has.

    Args:
        config: Of the application.
        app: The application.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._adoptions: dict[asyncio.Task[None], None] = {}  # the first is the oldest
        self._certificates: Certificates | None = app.state.certificates

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self._certificates is not None and counter % TICKS_PER_RENEWAL == 0:
            self._certificates.refresh()
        return await super().on_tick(counter)

    def adopt(self, connection: socket.socket) -> None:
        """Serve a connection that was accepted elsewhere.

        Those whose handshake is not over are no connections of uvicorn's yet; of too many, the one
        that takes longest has to go.
        """
        if len(self._adoptions) >= MAX_ADOPTIONS:
            next(iter(self._adoptions)).cancel()
        task = asyncio.get_running_loop().create_task(self._adopt(connection))
        self._adoptions[task] = None
        task.add_done_callback(self._adoptions.pop)

    async def _adopt(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {}
        if self._certificates is not None:
            timeout_s = self._app.state.settings.head_timeout_s
            options = {
                "ssl": self._certificates.context,
                "ssl_handshake_timeout": timeout_s,
                "ssl_shutdown_timeout": timeout_s,
            }
        try:
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._make_protocol, connection, **options)
        except (OSError, asyncio.CancelledError) as error:
            with contextlib.suppress(OSError):  # another process may keep it, too
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            log.debug("connection lost", reason=str(error))

    def _make_protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what came, over every protocol in the same time, then end."""
        self._app.state.drain.begin()
        self._app.state.stopping.set()
        if self._adoptions:  # who came before the end is answered, who only opened has had its time
            await asyncio.wait(self._adoptions, timeout=1.0)
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn drops what is under way, and the application too
            for task in list(self.server_state.tasks):
                task.cancel()
            await asyncio.sleep(TELL_S)
            await self.lifespan.shutdown()
        if self.server_state.connections:  # the time is over
            for connection in list(self.server_state.connections):
                connection.transport.close()
            await asyncio.sleep(TELL_S)  # to write what there is
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second time, answer nothing more but that; a third, end where it stands."""
        if not self.should_exit:
            super().handle_exit(sig, frame)
        elif not self.force_exit:
            self.force_exit = True
            hurrying = self._app.state.hurrying
            asyncio.get_running_loop().call_soon_threadsafe(hurrying.set)
        else:
            end_process(1)


class Server(AppServer):
    """The one of a process that serves alone: a first signal makes it not ready before it stops."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, port: Port) -> None:
        super().__init__(config, app)
        self._settings: Settings = app.state.settings
        self._port = port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application and listen.

        uvicorn accepts, but not where connections have to be adopted: with TLS it neither counts
        nor times out those whose handshake does not come to its end, and it takes no Unix socket
        that is open.
        """
        adopts = self._certificates is not None or self._settings.uds is not None
        await super().startup([] if adopts else self._port.copies())
        if adopts:
            self._port.set_open(True, self.adopt)
        log.info(f"Uvicorn running on {self._port.name} (Press CTRL+C to quit)")  # in its own words

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer who came, then end."""
        for server in self.servers:
            server.close()
        self._port.close(self.adopt)  # who came so far is let in
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Answer 503 to readiness, serve on for `drain_delay_s`, then stop; a second signal now."""
        first = not self._app.state.drain.has_begun
        self._app.state.drain.begin()
        delay_s = self._settings.drain_delay_s
        if first and delay_s and sig == signal.SIGTERM:
            log.info("draining", delay_s=delay_s)
            loop = asyncio.get_running_loop()
            stop = partial(super().handle_exit, sig, frame)
            loop.call_soon_threadsafe(loop.call_later, delay_s, stop)
        else:
            super().handle_exit(sig, frame)


def make_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Lane,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
        headers=SECURITY_HEADERS + (TLS_HEADERS if settings.tls_certificate else []),
    )


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT."""
    forget_raised_signals()
    try:
        port = Port(settings)
    except OSError as error:
        log.error(str(error))
        return STARTUP_FAILURE
    try:
        grpc_port = ReservedPort(settings.host, settings.grpc_port)
    except OSError as error:
        log.error(f"grpc_port: {error}")
        return STARTUP_FAILURE
    with grpc_port:
        settings = with_files(with_memory(settings))
        settings = settings.model_copy(update={"grpc_port": grpc_port.number})
        app = create_app(settings)
        Server(make_config(app, settings), app, port).run()
        end_well(app)
    return 0


def end_well(app: FastAPI) -> None:
    """Let the process end, though a thread may be stuck in a run, or in a read."""
    if not app.state.has_ended:
        log.warning("ended while a graph still runs, or storage does not answer")
        end_process(0)


def end_process(code: int) -> NoReturn:
    """End without a word to other threads.

    One that comes out of a run into an interpreter that is being taken down aborts the process.
    """
    logging.shutdown()
    os._exit(code)


def forget_raised_signals() -> None:
    """Let a clean stop be one: uvicorn raises its signal again when it has ended."""
    for stopped_by in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopped_by, lambda *_: None)
