"""The wiring: settings to a FastAPI application. Only the entry point and tests import it."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException

from service.api import browsing, generate, health, predict, timeseries, v2
from service.api import repository as repository_api
from service.api.browsers import SiteCheck, allow_origins
from service.api.context import RequestContext, on_http_exception, on_service_error
from service.api.extensions import configuration, logs, shared_memory, statistics, trace
from service.api.guard import Guard
from service.api.metadata import is_ready
from service.api.openapi import declare_keys, describe_tasks
from service.cache import ResultCache
from service.calls.services import Services
from service.engine.engine import Engine
from service.engine.threads import worker_cores
from service.errors import ServiceError
from service.graphs.session import limit_memory
from service.lane.ending import Drain
from service.lane.fast_path import FastPath
from service.lane.heads import Heads
from service.lane.refusals import Refusals
from service.memory import available_bytes, keep_freed_memory
from service.origin.sources import open_repository, open_signatures
from service.repository.changes import Change
from service.repository.repository import Repository
from service.schedulers.bounds import Bounds
from service.security.gate import Gate
from service.security.sites import Sites
from service.security.tls import open_certificates
from service.settings import Settings
from service.telemetry.loop_lag import LoopLag
from service.telemetry.metrics import PROTOCOLS, Metrics
from service.telemetry.parts.keys import KeyMetrics

if TYPE_CHECKING:
    from service.telemetry.tracing import Tracing

log = structlog.get_logger(__name__)


GC_ALLOCATIONS = 20_000
CLOSE_S = 1.0  # for runs that nobody waits for, to end; again as long for those that were told to
SWITCH_INTERVAL_S = 0.0005
"""After so long a thread that returns from a run gets Python's lock; by default it is ten times as
much, in which an event loop that reads one request after the other lets a core stand idle."""


def create_app(settings: Settings, worker: int = 0) -> FastAPI:
    """A server of the bundles in `settings.repository`; alive at once, ready when all are loaded.

    Args:
        settings: The server's; `repository` is a folder or a URL.
        worker: Which of `settings.workers` processes this is.
    """

    @asynccontextmanager
    async def lifespan(
        app: FastAPI,
    ) -> AsyncIterator[dict[str, Services | FastPath | Heads | Refusals | Gate | Drain | None]]:
        cores = worker_cores(settings.workers, worker)
        bounds = bounds_of(settings, worker)
        log.info("engine started", threads=bounds.engine_threads, cores=cores)
        keep_freed_memory()
        limit_memory(settings.max_graph_bytes or available_bytes() * 3 // 4 // settings.workers)
        engine = Engine(
            bounds.engine_threads,
            cores if settings.pin_threads else (),
            settings.max_hang_s,
            settings.quarantine_s,
            board=app.state.make_board and app.state.make_board(bounds.engine_threads),
        )
        metrics: Metrics = app.state.metrics
        folder, refresh = open_repository(settings)
        repository = Repository(
            folder,
            engine,
            metrics,
            bounds,
            settings.precision,
            settings.poll_repository_s,
            refresh,
            open_signatures(settings),
            storage_timeout_s=settings.storage_timeout_s,
        )
        cache = ResultCache(settings.cache_bytes, metrics.cache) if settings.cache_bytes else None
        tracing = tracing_of(settings, worker)
        services = Services(settings, metrics, repository, engine, cache, tracing)
        app.state.apply = partial(apply_here, repository)
        # what it takes is neither looked up in the cache nor logged
        fast_path = None if cache or settings.access_log else FastPath(services)
        if fast_path is not None:
            loop = asyncio.get_running_loop()
            repository.on_change = partial(loop.call_soon_threadsafe, fast_path.forget)
        app.state.services, app.state.repository = services, repository
        metrics.repository.watch(
            partial(is_ready, app.state), repository.refused, repository.num_left
        )
        metrics.monitor.start()

        def note_lag(lag_s: float) -> None:
            metrics.loop_lag.observe(lag_s)
            engine.note_lag(lag_s)

        lag = LoopLag(note_lag)
        repository.start()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.freeze()  # what was imported stays: no collection need go through it, which takes long
        gc.set_threshold(GC_ALLOCATIONS, 20, 100)  # a request leaves no cycles behind
        async with grpc_beside(app):
            # which the lane finds in each connection's state
            yield {
                "services": services,
                "fast_path": fast_path,
                "heads": Heads(app.state.sites),
                "refusals": Refusals(settings.max_refusals_per_s),
                "gate": app.state.gate,
                "drain": app.state.drain,
            }
        lag.close()
        # off the loop, which meanwhile lets go of requests that outlast the time to shut down; the
        # engine first, as one that loads or unloads a model may wait for it
        app.state.has_ended = await asyncio.to_thread(engine.close, CLOSE_S)
        app.state.has_ended &= await asyncio.to_thread(repository.close, CLOSE_S)
        await asyncio.to_thread(metrics.monitor.close)
        if tracing is not None:
            await asyncio.to_thread(tracing.close)
        metrics.bring()  # other workers' /metrics go on showing them

    app = FastAPI(
        title="Seqserve",
        version=version("seqserve"),
        description="Serves sequence models on ordinary CPUs: batches cells, not requests.",
        lifespan=lifespan,
        openapi_url="/openapi.json" if settings.pages else None,
        docs_url=None,  # which would fetch its parts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name whatever host the client claims
    )
    app.state.settings = settings
    app.state.sites = Sites(settings)
    protocols = PROTOCOLS if settings.grpc_port is None else (*PROTOCOLS, "grpc")
    app.state.metrics = Metrics(settings, protocols)
    app.state.drain = Drain()  # not ready any more, but serving
    app.state.stopping = asyncio.Event()  # takes nothing more; what came is answered
    app.state.hurrying = asyncio.Event()  # what came is not answered any more
    app.state.make_board = None  # makes what the engine notes its runs on, if anything does
    app.state.has_ended = True  # no thread of the engine or the repository is left
    app.state.others_loading = False  # other workers on this port
    for part in (
        *([browsing] if settings.pages else []),
        health,
        repository_api,
        predict,
        timeseries,
        generate,
        statistics,
        v2,
        configuration,
        logs,
        trace,
        shared_memory,
    ):
        app.include_router(part.router)
    describe_tasks(app)
    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.state.certificates = open_certificates(settings, app.state.metrics.registry)
    app.state.gate = gate = open_gate(settings, app.state.metrics, worker)
    # the last one is asked first
    if gate is not None:
        app.add_middleware(Guard, gate=gate)
        declare_keys(app)
    app.add_middleware(SiteCheck, sites=app.state.sites)
    app.add_middleware(RequestContext, access_log=settings.access_log)
    if settings.cors_origins:
        allow_origins(app, settings.cors_origins)
    return app


async def apply_here(repository: Repository, change: Change) -> None:
    """Make a change of the models, of one process that serves alone."""
    await asyncio.wrap_future(repository.apply(change))


def open_gate(settings: Settings, metrics: Metrics, worker: int) -> Gate | None:
    """What knows the API keys, if there are to be some.

    Raises:
        OSError, ValueError: Their file is bad.
    """
    if settings.api_keys is None:
        return None
    return Gate(settings.api_keys, KeyMetrics(metrics.registry), worker, settings.workers)


def grpc_beside(app: FastAPI) -> AbstractAsyncContextManager[None]:
    """What serves the same over gRPC, if it is on; only then need it be installed."""
    if app.state.settings.grpc_port is None:
        return nullcontext()
    from service.grpc.server import serving

    return serving(app.state)


def tracing_of(settings: Settings, worker: int) -> Tracing | None:
    """What traces requests, if that is on; only then need it be installed."""
    if settings.otlp_endpoint is None:
        return None
    from service.telemetry.tracing import Tracing

    return Tracing(settings, worker)


def bounds_of(settings: Settings, worker: int = 0) -> Bounds:
    """Each scheduler's bounds: the settings of the same names."""
    names = {field.name for field in dataclasses.fields(Bounds)}
    threads = settings.engine_threads or len(worker_cores(settings.workers, worker))
    return Bounds(**settings.model_dump(include=names) | {"engine_threads": threads})
