"""One process that serves: the application on uvicorn, with a drain before the stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from functools import partial
from types import FrameType
from typing import NoReturn

import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.main import STARTUP_FAILURE  # type: ignore[attr-defined]

from service.app import create_app
from service.grpc.port import ReservedPort
from service.lane.connection import Lane
from service.settings import Settings

log = structlog.get_logger(__name__)

TELL_S = 0.1  # for those who wait to be told that they wait in vain


class AppServer(uvicorn.Server):
    """uvicorn, but the application hears when it stops, not only when it has.

    Args:
        config: Of the application.
        app: The application.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what came, over every protocol in the same time, then end."""
        self._app.state.stopping.set()
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn drops what is under way, and the application too
            for task in list(self.server_state.tasks):
                task.cancel()
            await asyncio.sleep(TELL_S)
            await self.lifespan.shutdown()

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

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_delay_s: float) -> None:
        super().__init__(config, app)
        self._drain_delay_s = drain_delay_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Answer 503 to readiness, serve on for `drain_delay_s`, then stop; a second signal now."""
        first = not self._app.state.draining
        self._app.state.draining = True
        if first and self._drain_delay_s and sig == signal.SIGTERM:
            log.info("draining", delay_s=self._drain_delay_s)
            loop = asyncio.get_running_loop()
            stop = partial(super().handle_exit, sig, frame)
            loop.call_soon_threadsafe(loop.call_later, self._drain_delay_s, stop)
        else:
            super().handle_exit(sig, frame)


def make_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Lane,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT."""
    forget_raised_signals()
    try:
        grpc_port = ReservedPort(settings.host, settings.grpc_port)
    except OSError as error:
        log.error(f"grpc_port: {error}")
        return STARTUP_FAILURE
    with grpc_port:
        settings = settings.model_copy(update={"grpc_port": grpc_port.number})
        app = create_app(settings)
        Server(make_config(app, settings), app, settings.drain_delay_s).run()
        end_well(app)
    return 0


def end_well(app: FastAPI) -> None:
    """Let the process end, though a thread of its engine may be stuck in a run."""
    if not app.state.has_ended:
        log.warning("ended while a graph still runs")
        end_process(0)


def end_process(code: int) -> NoReturn:
    """End without a word to other threads.

    One that comes out of a run into an interpreter that is being taken down aborts the process.
    """
    sys.stderr.flush()
    os._exit(code)


def forget_raised_signals() -> None:
    """Let a clean stop be one: uvicorn raises its signal again when it has ended."""
    for stopped_by in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopped_by, lambda *_: None)
