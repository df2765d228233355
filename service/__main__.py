"""`python -m service`: flags and environment to settings to a running server."""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from service.app import create_app
from service.logs import configure_logs
from service.settings import Settings


class Server(uvicorn.Server):
    """uvicorn, but a first signal makes it not ready before it stops accepting."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_delay_s: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_delay_s = drain_delay_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Answer 503 to readiness, serve on for `drain_delay_s`, then stop; a second signal now."""
        first = not self._app.state.draining
        self._app.state.draining = True
        if first and self._drain_delay_s and sig == signal.SIGTERM:
            structlog.get_logger(__name__).info("draining", delay_s=self._drain_delay_s)
            loop = asyncio.get_running_loop()
            stop = partial(super().handle_exit, sig, frame)
            loop.call_soon_threadsafe(loop.call_later, self._drain_delay_s, stop)
        else:
            super().handle_exit(sig, frame)


def main() -> int:
    """Serve until SIGTERM or SIGINT; 2 for a bad setting."""
    try:
        settings = CliApp.run(Settings)
        configure_logs(settings.log_level)
        app = create_app(settings)
    except (ValidationError, SettingsError, NotADirectoryError) as error:
        sys.stderr.write(f"bad setting: {error}\n")
        return 2
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )
    # uvicorn raises the signal again after a clean stop; a drained server has not failed
    for stopped_by in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopped_by, lambda *_: None)
    Server(config, app, settings.drain_delay_s).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
