"""A server without sockets: its connections on transports that the test reads, its models fakes.

Everything between is the service's own. What a connection without the fast path answers is what
one with it is held against.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs
from uvicorn.server import ServerState

from service.app import bounds_of, create_app
from service.calls.services import Services
from service.engine.engine import Engine
from service.lane.connection import Lane
from service.lane.ending import Drain
from service.lane.fast_path import FastPath, Received
from service.lane.heads import Heads
from service.lane.refusals import Refusals
from service.manifest import Precision
from service.repository.repository import Repository
from service.repository.routes import Entry, Routes
from service.repository.served import Loaded, Served
from service.schedulers.sequences import SequenceScheduler
from service.serving import make_config
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.engine.harness import made_cost
from tests.fakes import TIMEOUT_S, task_of_manifest
from tests.http.echo import EchoModel
from tests.http.raw import Answers, RawAnswer

DATE = (b"date", b"Thu, 01 Jan 2026 00:00:00 GMT")


class Transport(asyncio.Transport):
    """Keeps the answers that are written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = Answers()
        self.is_closed = False
        self.news = asyncio.Event()

    def write(self, data: Any) -> None:
        assert not self.is_closed, "written to a closed connection"
        self.reader.feed(bytes(data))
        self.news.set()

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        self.is_closed = True
        self.news.set()

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Client:
    """One connection; to be used on the event loop.

    Args:
        lane: The server's end.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.transport = Transport()
        lane.connection_made(self.transport)

    @property
    def answers(self) -> list[RawAnswer]:
        """Those that have come."""
        return self.transport.reader.answers

    def send(self, data: bytes) -> None:
        """Have the server receive this at once."""
        self.lane.data_received(data)

    def leave(self) -> None:
        """Close the connection."""
        self.transport.is_closed = True
        self.lane.connection_lost(None)

    async def wait(self, count: int) -> list[RawAnswer]:
        """Return when so many answers have come in all, or the server has closed."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.answers) < count and not self.transport.is_closed:
                self.transport.news.clear()
                await self.transport.news.wait()
        return self.answers

    async def ask(self, *pieces: bytes) -> RawAnswer:
        """One request's answer."""
        before = len(self.answers)
        for piece in pieces:
            self.send(piece)
        return (await self.wait(before + 1))[before]


class Inside:
    """The server.

    Args:
        folder: An empty one.
        models: What it serves, by their manifests' names; the second of a name is its int8.
        num_threads: Of its engine.
        settings: That are not to be the defaults.
    """

    def __init__(
        self, folder: Path, models: Sequence[EchoModel], num_threads: int = 1, **settings: Any
    ) -> None:
        self.settings = Settings(**{"max_connections": 1_000_000, **settings})
        self._served: list[Served] = []
        self.metrics = Metrics()
        self.engine = Engine(num_threads)
        self._bounds = dataclasses.replace(
            bounds_of(self.settings), engine_threads=num_threads, chunk_steps=3
        )
        self.repository = Repository(folder, self.engine, self.metrics, self._bounds)
        self.repository._scanned.set()
        for model in models:
            self._serve(model)
        self.services = Services(self.settings, self.metrics, self.repository, self.engine, None)
        self.fast_path = FastPath(self.services)
        self.refusals = Refusals(self.settings.max_refusals_per_s)
        self.num_fast = 0
        """Requests that were known by heart."""
        self._receive = self.fast_path.receive
        self.fast_path.receive = self._count_received  # type: ignore[method-assign]
        app = create_app(self.settings)
        self.drain: Drain = app.state.drain
        self.heads = Heads(app.state.sites)
        app.state.services, app.state.metrics = self.services, self.metrics
        self._config = make_config(app, self.settings)
        self.state = ServerState()
        self.state.default_headers = [DATE]

    def connect(self, *, fast: bool = True) -> Client:
        """A connection, with the fast path or without it."""
        app_state = {
            "services": self.services,
            "fast_path": self.fast_path if fast else None,
            "heads": self.heads,
            "refusals": self.refusals,
            "drain": self.drain,
        }
        return Client(Lane(self._config, self.state, app_state))

    @property
    def has_weights(self) -> bool:
        """Whether its models answer with weights, too."""
        return any(len(served.signature.outputs) > 1 for served in self._served)

    def outcomes(self, outcome: str) -> float:
        """Requests that ended so."""
        return sum(
            value
            for (name, labels), value in self.samples().items()
            if name == "seqserve_requests_total" and ("outcome", outcome) in labels
        )

    def sum_of(self, name: str) -> float:
        """Of the samples of this name."""
        return sum(value for (each, _), value in self.samples().items() if each == name)

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All metrics, by name and labels."""
        self.metrics.bring()
        return {
            (sample.name, tuple(sample.labels.items())): sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
        }

    async def until_idle(self) -> None:
        """Return when the last run is over, which may be of someone who has left."""
        async with asyncio.timeout(TIMEOUT_S):
            while any(  # noqa: ASYNC110 - a run tells nobody but its callers that it is over
                served.scheduler.core.num_active for served in self._served
            ):
                await asyncio.sleep(0)

    def check_idle(self) -> None:
        """Fail if anything is under way."""
        assert not self.state.tasks, "an end would wait for what is over"
        for served in self._served:
            assert self.engine.num_waiting(served.scheduler) == 0
            assert served.scheduler.core.num_active == 0

    def _serve(self, model: EchoModel) -> None:
        manifest, catalog = model.manifest, self.repository._catalog
        precision: Precision = "int8" if manifest.name in catalog.models else "fp32"
        metrics = self.metrics.of_model(manifest.name, manifest.version, precision)
        cost = made_cost(self._bounds.max_batch_size)
        served = Served.of_bundle(
            task_of_manifest(manifest),
            SequenceScheduler(model, self._bounds, cost, metrics),
            precision,
        )
        self.engine.add(served.scheduler)
        self._served.append(served)
        if precision == "fp32":
            entry = Entry(manifest.name, manifest.version, "READY", loaded=Loaded(served, {}))
            catalog.put(Routes(manifest.name, {}).replace(entry))
        else:
            catalog.find(manifest.name).find(None).others["int8"] = served

    def _count_received(self, data: bytes, waited_s: float = 0.0) -> Received | None:
        received = self._receive(data, waited_s)
        self.num_fast += received is not None
        return received


@contextmanager
def inside(folder: Path, *models: EchoModel, **options: Any) -> Iterator[Inside]:
    """A server, ended when the block is."""
    server = Inside(folder, models, **options)
    with capture_logs():  # a traceback for each batch that fails
        try:
            yield server
        finally:
            for model in models:
                model.gate.set()
            server.engine.close()
    server.check_idle()
