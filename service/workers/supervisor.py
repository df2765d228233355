"""The process that keeps several workers, and hands each connection to the least busy of them.

It accepts for all of them because neither way of sharing a listening socket spreads few
connections: with one socket for all, a worker takes a whole burst, and with one socket each
(SO_REUSEPORT) the kernel spreads by hash, and a worker that dies takes its waiting ones with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path

import structlog
import uvloop
from prometheus_client.multiprocess import mark_process_dead

from service.engine.board import read_board
from service.grpc.port import ReservedPort
from service.port import Port
from service.settings import Settings
from service.workers.agreement import Agreements
from service.workers.balance import Share, choose
from service.workers.blame import Blame
from service.workers.channel import (
    ALL_LOADED,
    DRAIN,
    Bar,
    Done,
    Report,
    Wish,
    make_channel,
    receive_message,
    send_bar,
    send_connection,
)
from service.workers.counters import make_folder
from service.workers.kept import Kept

log = structlog.get_logger(__name__)

START_FAILED = 3  # uvicorn's code for it, which one process alone ends with
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
STABLE_S = 60.0  # a worker that lived this long has not failed to start


@dataclasses.dataclass
class Worker(Share):
    """A worker process, as its supervisor sees it.

    Args:
        under_way: Connections that were sent to it and that it did not say it took.
    """

    index: int = dataclasses.field(kw_only=True)
    process: asyncio.subprocess.Process = dataclasses.field(kw_only=True)
    channel: socket.socket = dataclasses.field(kw_only=True)
    under_way: deque[socket.socket] = dataclasses.field(default_factory=deque)
    started: bool = False

    def tell(self, order: bytes) -> None:
        """Send an order; a worker that is gone needs none."""
        with contextlib.suppress(OSError):
            self.channel.send(order)

    def bar(self, bar: Bar) -> None:
        """Have it leave a model alone."""
        with contextlib.suppress(OSError):
            send_bar(self.channel, bar)


class Supervisor:
    """Starts the workers, hands out connections, replaces who dies, and ends all together.

    Args:
        settings: The server's.
        flags: That they were read from; the workers read them again.
        port: Where connections come.
        counters: A folder for the workers' metrics.
    """

    def __init__(self, settings: Settings, flags: list[str], port: Port, counters: str) -> None:
        self._settings = settings
        self._flags = flags
        self._port = port
        self._counters = counters
        self._workers: dict[int, Worker] = {}
        self._agreements = Agreements()
        self._kept = Kept()
        self._blame = Blame(settings.quarantine_s)
        self._turn = 0
        self._all_loaded = False
        self._draining = False
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Keep the workers until a signal comes; 0 if all of them ended well then."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        self._kept.start()
        async with asyncio.TaskGroup() as group:
            keepers = [
                group.create_task(self._keep(index)) for index in range(self._settings.workers)
            ]
            await self._stopping.wait()
            self._stop()
        self._kept.close()
        failed = [code for code in (keeper.result() for keeper in keepers) if code != 0]
        return max(failed[0], 1) if failed else 0  # below 0: killed by that signal

    async def _keep(self, index: int) -> int:
        """Run this worker, and another in its place if it ends unasked; the last one's code."""
        failures = 0
        while True:
            began_s = time.monotonic()
            code, started = await self._live(index)
            if self._stopping.is_set():
                return code
            if not started and not self._all_loaded:
                log.error("worker did not start", worker=index, exit_code=code)
                self._stopping.set()
                return code or START_FAILED
            failures = 0 if time.monotonic() - began_s > STABLE_S else failures + 1
            delay_s = min(FIRST_DELAY_S * 2 ** max(failures - 1, 0), LONGEST_DELAY_S)
            log.error("worker ended", worker=index, exit_code=code, restart_in_s=delay_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)
                return 0

    async def _live(self, index: int) -> tuple[int, bool]:
        """Run one worker to its end: its code, and whether it ever took connections."""
        ours, theirs = make_channel()
        with ours:
            try:
                worker = await self._start(index, ours, theirs)
            except OSError as error:
                log.error("can't make a process", worker=index, reason=str(error))
                return START_FAILED, False
            code = await worker.process.wait()
            self._forget(worker)
            return code, worker.started

    async def _start(self, index: int, ours: socket.socket, theirs: socket.socket) -> Worker:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *(f"-W{option}" for option in sys.warnoptions),
                *("-m", "service.workers.worker", str(theirs.fileno()), str(index), *self._flags),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": self._counters},
            )
        worker = Worker(index=index, process=process, channel=ours)
        self._workers[index] = worker
        asyncio.get_running_loop().add_reader(ours, self._on_message, worker)
        self._agreements.tell(worker)
        if self._stopping.is_set():
            ours.shutdown(socket.SHUT_WR)
        return worker

    def _forget(self, worker: Worker) -> None:
        del self._workers[worker.index]
        self._lose(worker)
        if num_told := self._kept.answer(worker.index):
            log.warning("requests told that their worker ended", worker=worker.index, num=num_told)
        if worker.process.returncode and not self._stopping.is_set():
            self._find_culprit(worker)
        self._agreements.lose(worker.index)
        mark_process_dead(worker.index, self._counters)  # type: ignore[no-untyped-call]

    def _find_culprit(self, dead: Worker) -> None:
        """Have all leave models alone that take workers down."""
        running = read_board(Path(self._counters), dead.index)
        for model, seconds in self._blame.died(running, time.monotonic()).items():
            about = {"model": model.name, "version": model.version}
            log.error("model quarantined, as runs of it ended workers", **about, for_s=seconds)
            for worker in self._workers.values():
                worker.bar(Bar(model, seconds))

    def _on_message(self, worker: Worker) -> None:
        try:
            message = receive_message(worker.channel)
        except BlockingIOError:
            return
        except OSError:
            message = None
        if message is None:
            self._lose(worker)
        elif isinstance(message, Wish):
            self._agreements.begin(worker, message, self._workers.values())
        elif isinstance(message, Done):
            self._agreements.done(worker.index, message)
        else:
            self._on_report(worker, message)

    def _on_report(self, worker: Worker, report: Report) -> None:
        worker.report = report
        while len(worker.under_way) > worker.handed - report.taken:
            self._on_taken(worker, worker.under_way.popleft())
        if not worker.started:
            worker.started = True
            log.info("worker started", worker=worker.index, pid=worker.process.pid)
            if self._draining:
                worker.tell(DRAIN)
            if self._all_loaded:
                worker.tell(ALL_LOADED)
            for model, seconds in self._blame.left(time.monotonic()).items():
                worker.bar(Bar(model, seconds))
        self._check_loaded()
        self._accept_if_able()

    def _on_taken(self, worker: Worker, connection: socket.socket) -> None:
        if self._settings.tls_certificate is None:
            self._kept.keep(connection, worker.index)
        else:  # what is under way on it nobody here can read, or answer
            connection.close()

    def _lose(self, worker: Worker) -> None:
        """Let others have what a worker had not taken when it ended."""
        asyncio.get_running_loop().remove_reader(worker.channel)
        worker.report = None
        while worker.under_way:
            self._hand_over(worker.under_way.popleft())
        self._accept_if_able()

    def _check_loaded(self) -> None:
        loaded = [w for w in self._workers.values() if w.report is not None and w.report.loaded]
        if not self._all_loaded and len(loaded) == self._settings.workers:
            self._all_loaded = True
            for worker in loaded:
                worker.tell(ALL_LOADED)

    def _accept_if_able(self) -> None:
        """Let connections in just while some worker could take one."""
        if not self._stopping.is_set():
            able = choose(self._workers.values()) is not None
            self._port.set_open(able, self._hand_over)

    def _hand_over(self, connection: socket.socket) -> None:
        while (worker := choose(self._workers.values())) is not None:
            try:
                send_connection(worker.channel, connection)
            except OSError:
                worker.report = None  # gone, or deaf until it reports again
                continue
            self._turn += 1
            worker.turn = self._turn
            worker.handed += 1
            worker.under_way.append(connection)
            break
        else:
            connection.close()
        self._accept_if_able()

    def _on_signal(self, number: int) -> None:
        """As one process alone does: not ready for `drain_delay_s`, then stop; a second one now."""
        if self._stopping.is_set():
            for worker in self._workers.values():
                worker.process.send_signal(number)
            return
        first, self._draining = not self._draining, True
        for worker in self._workers.values():
            worker.tell(DRAIN)
        delay_s = self._settings.drain_delay_s
        if first and delay_s and number == signal.SIGTERM:
            log.info("draining", delay_s=delay_s)
            asyncio.get_running_loop().call_later(delay_s, self._stopping.set)
        else:
            self._stopping.set()

    def _stop(self) -> None:
        """Hand out who came before the end, then have every worker finish."""
        self._port.close(self._hand_over)
        for worker in self._workers.values():
            with contextlib.suppress(OSError):
                worker.channel.shutdown(socket.SHUT_WR)


def supervise(settings: Settings, flags: list[str]) -> int:
    """Serve with `settings.workers` processes until SIGTERM or SIGINT.

    Args:
        settings: The server's.
        flags: That they were read from; the workers read them again.
    """
    try:
        port = Port(settings)
        grpc_port = ReservedPort(settings.host, settings.grpc_port)
        counters = make_folder()
    except OSError as error:
        log.error(str(error))
        return START_FAILED
    # in uvicorn's words, so that there is one line to look for
    log.info(f"Uvicorn running on {port.name} (Press CTRL+C to quit)")
    if grpc_port.number is not None:  # of two flags the later one counts
        flags = [*flags, f"--grpc-port={grpc_port.number}"]
    with (
        grpc_port,
        counters as name,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_run(settings, flags, port, name))


async def _run(settings: Settings, flags: list[str], port: Port, counters: str) -> int:
    return await Supervisor(settings, flags, port, counters).run()
