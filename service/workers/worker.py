"""`python -m service.workers.worker`: one of several processes that serve; a supervisor starts it.

Its connections come accepted from the supervisor, and so does the order to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import structlog
import uvicorn
from fastapi import FastAPI
from prometheus_client import values

from service.app import create_app
from service.calls.services import Services
from service.engine.board import Board
from service.errors import DrainingError, ServiceError
from service.flags import read_settings
from service.repository.changes import Load, Unload
from service.repository.repository import Repository
from service.security.files import with_files
from service.security.fitting import with_memory
from service.serving import AppServer, end_well, forget_raised_signals, make_config
from service.telemetry.logs import configure_logs
from service.telemetry.metrics import Metrics
from service.temporary import hold
from service.workers.agreement import decode_failure, encode_failure
from service.workers.channel import (
    ALL_LOADED,
    DRAIN,
    Bar,
    Change,
    Done,
    Report,
    Wish,
    read_file,
    receive_order,
    send_done,
    send_report,
    send_wish,
    write_file,
)

log = structlog.get_logger(__name__)

TICKS_PER_REFRESH = 10  # of uvicorn, a tenth of a second each


class Connections(set[Any]):
    """Those that are open.

    Args:
        on_closed: Told of each that no longer is.
    """

    def __init__(self, on_closed: Callable[[], None]) -> None:
        super().__init__()
        self._on_closed = on_closed

    def discard(self, connection: object) -> None:
        """Take one out, which is about to be closed.

        That alone would not end it, as the supervisor keeps it too.
        """
        super().discard(connection)
        found = connection.transport.get_extra_info("socket")  # type: ignore[attr-defined]
        if found is not None:  # of TLS it may be gone by now
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(found.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)  # uvloop's can't be; an error: it has ended already
        self._on_closed()


class WorkerServer(AppServer):
    """uvicorn without a listening socket.

    Args:
        config: Of the application.
        app: The application, whose state says whether it is ready.
        channel: To the supervisor.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, channel: socket.socket) -> None:
        super().__init__(config, app)
        self._channel = channel
        self._taken = 0
        self._reported: Report | None = None
        self._wishes: dict[int, asyncio.Future[bytes]] = {}
        self._changing = asyncio.Lock()  # changes are made in the order in which they come
        self._changes: set[asyncio.Task[None]] = set()
        # told at once: who closes many and opens many anew is to be spread by what is true then
        self.server_state.connections = Connections(self._report)
        app.state.others_loading = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then take connections."""
        await super().startup(sockets)
        self._app.state.apply = self._wish
        asyncio.get_running_loop().add_reader(self._channel, self._on_order)
        self._report()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        self._report()
        metrics: Metrics = self._app.state.metrics
        metrics.bring()  # another worker's /metrics shows them
        if counter % TICKS_PER_REFRESH == 0:
            metrics.refresh()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leave the first signal to the supervisor, which many a sender of signals tells too."""
        if self.should_exit:
            super().handle_exit(sig, frame)

    def _on_order(self) -> None:
        try:
            order = receive_order(self._channel)
        except BlockingIOError:
            return
        except OSError:  # as at the end: the supervisor is gone
            order = b""
        if order == ALL_LOADED:
            self._app.state.others_loading = False
        elif order == DRAIN:
            self._app.state.drain.begin()
        elif order == b"":
            asyncio.get_running_loop().remove_reader(self._channel)
            self._app.state.drain.begin()
            self.should_exit = True
            self._leave_wishes()
        elif isinstance(order, Change):
            task = asyncio.get_running_loop().create_task(self._change(order))
            self._changes.add(task)
            task.add_done_callback(self._changes.discard)
        elif isinstance(order, Done):
            self._answer_wish(order)
        elif isinstance(order, Bar):
            services: Services = self._app.state.services
            services.engine.bar(order.model, order.seconds)
        else:
            assert not isinstance(order, bytes), "there are no others"
            self._taken += 1
            if order is None:
                log.warning("connection lost", reason="out of file descriptors")
            else:
                self.adopt(order)
            self._report()  # before a byte of it is read: nobody else may serve it now

    async def _wish(self, change: Load | Unload) -> None:
        """Have all workers make a change; return when all have.

        Raises:
            ServiceError: As the first of them that failed.
        """
        number = max(self._wishes, default=0) + 1
        answered = self._wishes[number] = asyncio.get_running_loop().create_future()
        descriptor = await asyncio.to_thread(lambda: write_file(msgspec.msgpack.encode(change)))
        try:
            send_wish(self._channel, Wish(number, change.name.encode()[:256], descriptor))
        except OSError:
            del self._wishes[number]
            raise DrainingError("this worker's supervisor can't be told") from None
        finally:
            os.close(descriptor)
        if failure := await answered:
            raise decode_failure(failure)

    def _leave_wishes(self) -> None:
        """The supervisor tells nothing more."""
        failure = encode_failure(DrainingError("the server is stopping"))
        for number in list(self._wishes):
            self._answer_wish(Done(number, failure))

    def _answer_wish(self, done: Done) -> None:
        answered = self._wishes.pop(done.number)
        if not answered.done():  # cancelled, at the end
            answered.set_result(done.failure)

    async def _change(self, order: Change) -> None:
        """Make a change that all workers make, and say how it went."""
        repository: Repository = self._app.state.repository
        failure = b""
        try:
            async with self._changing:
                contents = await asyncio.to_thread(read_file, order.descriptor)
                change = msgspec.msgpack.decode(contents, type=Load | Unload)
                await asyncio.wrap_future(repository.apply(change))
        except ServiceError as error:
            failure = encode_failure(error)
        except Exception:
            log.exception("change failed")
            failure = encode_failure(ServiceError("internal error; it is in the worker's log"))
        with contextlib.suppress(OSError):  # the supervisor is gone
            send_done(self._channel, Done(order.number, failure))

    def _report(self) -> None:
        repository: Repository = self._app.state.repository
        num_open = len(self.server_state.connections) + len(self._adoptions)
        report = Report(self._taken, num_open, repository.is_ready(strict=False))
        if report == self._reported:
            return
        try:
            send_report(self._channel, report)
        except OSError:  # busy: again at the next tick; gone: the end is about to be read
            return
        self._reported = report


def main() -> int:
    """Serve what comes over the channel until it ends.

    The arguments are the channel's descriptor, the worker's index, and the supervisor's own flags.
    """
    descriptor, index, *flags = sys.argv[1:]
    settings = read_settings(flags)
    configure_logs(settings.log_level, worker=int(index))
    hold(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    # by index, not by process: a replacement counts on where the dead worker's counters stand
    values.ValueClass = values.MultiProcessValue(lambda: index)  # type: ignore[no-untyped-call]
    settings = with_files(with_memory(settings))
    counters = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    is_replacement = (counters / f"counter_{index}.db").exists()
    app = create_app(settings, worker=int(index))
    app.state.metrics.worker_restarts.inc(is_replacement)
    app.state.make_board = partial(Board, counters, int(index))
    forget_raised_signals()
    supervisor = os.getppid()
    with socket.socket(fileno=int(descriptor)) as channel:
        channel.setblocking(False)
        WorkerServer(make_config(app, settings), app, channel).run(sockets=[])
    if os.getppid() != supervisor:  # it died, and can't remove what the workers counted in
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
    end_well(app)
    return 0


if __name__ == "__main__":
    sys.exit(main())
