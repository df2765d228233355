"""The bundles: found on disk, verified, checked for invariance, warmed, and only then served."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import structlog

from service.engine.engine import Engine
from service.errors import (
    BundleError,
    InvalidRequestError,
    ModelNotFoundError,
    ModelNotReadyError,
)
from service.graphs.invariance import TOLERANCE, check_invariance
from service.graphs.model import OnnxModel
from service.manifest import Manifest, Precision, read_graph, read_manifest
from service.schedulers.bounds import Bounds
from service.schedulers.cost import calibrate
from service.schedulers.scheduler import Scheduler
from service.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

CHECKED_CHUNK = 16  # steps; a state that carries over at one place carries over at all


@dataclasses.dataclass(frozen=True)
class Served:
    """A model that answers, in one precision."""

    manifest: Manifest
    scheduler: Scheduler
    precision: Precision = "fp32"


@dataclasses.dataclass
class Entry:
    """One model of the repository, serving or not; named as in Triton's repository index."""

    name: str
    version: str
    state: Literal["LOADING", "READY", "UNAVAILABLE"] = "LOADING"
    reason: str = ""
    served: Served | None = None
    """What answers a request that asks for no precision."""
    others: dict[str, Served | str] = dataclasses.field(default_factory=dict)
    """Its other precisions, each serving or why it does not."""


class Repository:
    """The models of one folder, `<model>/<version>/`; of each, the latest version serves.

    Args:
        folder: Where the bundles are.
        engine: Runs their batches.
        metrics: Counts them.
        bounds: Of each model's scheduler.
        precision: What answers unless a request says otherwise, where a model has it; else fp32.
    """

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        metrics: Metrics,
        bounds: Bounds,
        precision: Precision = "fp32",
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._metrics = metrics
        self._bounds = bounds
        self._precision = precision
        self._entries = {
            model.name: Entry(model.name, version)
            for model in sorted(folder.iterdir())
            if model.is_dir() and (version := _latest_version(model))
        }
        self.on_change: Callable[[], None] = lambda: None
        """Called when other models serve than before; by any thread."""
        self._stopping = threading.Event()
        self._scanned = threading.Event()
        self._thread = threading.Thread(target=self._load_all, name="repository", daemon=True)

    def start(self) -> None:
        """Load every bundle in the background; the server is alive meanwhile, not ready."""
        self._thread.start()

    def close(self) -> None:
        """Stop loading after the bundle in hand."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def index(self) -> list[Entry]:
        """Every model, by name, those refused included."""
        return list(self._entries.values())

    def is_ready(self, strict: bool) -> bool:
        """Whether every bundle was dealt with and, if `strict`, there are some and all serve.

        Strict refuses an empty repository: it is rather a wrong path than a wish, and a server
        without a model can answer nothing. A server that is to start empty is not strict.
        """
        if not self._scanned.is_set():
            return False
        return not strict or {entry.state for entry in self.index()} == {"READY"}

    def get(
        self,
        name: str,
        version: str | None = None,
        precision: str | None = None,
        field: str = "precision",
    ) -> Served:
        """The model that answers by this name.

        Args:
            name: Of the model.
            version: It must have, if any.
            precision: It must compute with, if any.
            field: Where in the request the precision stands, for the error.

        Raises:
            ModelNotFoundError: There is none, or it has another version.
            ModelNotReadyError: It is loading, or was refused.
            InvalidRequestError: It has no such precision.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise ModelNotFoundError(f"there is no model {name!r}", "name")
        if version is not None and version != entry.version:
            raise ModelNotFoundError(
                f"model {name!r} has no version {version!r}; it serves {entry.version}", "version"
            )
        if entry.served is None:
            reason = entry.reason or "it is still loading"
            raise ModelNotReadyError(f"model {name!r} is not ready: {reason}", "name")
        if precision is None or precision == entry.served.precision:
            return entry.served
        return _other(entry, entry.served.manifest, precision, field)

    def _load_all(self) -> None:
        for entry in self.index():
            if self._stopping.is_set():
                return
            started_s = time.perf_counter()
            try:
                self._load(entry)
                entry.state = "READY"
                self.on_change()
            except BundleError as error:
                self._refuse(entry, str(error))
            except Exception as error:  # noqa: BLE001 - one bad bundle must not stop the others
                self._refuse(entry, f"{type(error).__name__}: {error}")
            else:
                elapsed_s = time.perf_counter() - started_s
                self._metrics.load_duration.labels(entry.name, entry.version).set(elapsed_s)
                log.info("model ready", model=entry.name, version=entry.version, load_s=elapsed_s)
        self._scanned.set()

    def _refuse(self, entry: Entry, reason: str) -> None:
        entry.state, entry.reason = "UNAVAILABLE", reason
        self._metrics.load_failures.inc()
        log.error("model refused", model=entry.name, version=entry.version, reason=reason)

    def _load(self, entry: Entry) -> None:
        """Make a model serve; a bad graph refuses it if it is the one that answers by default."""
        folder = self._folder / entry.name / entry.version
        manifest = read_manifest(folder)
        default = self._precision if self._precision in manifest.precisions else "fp32"
        served = self._serve(folder, manifest, default)
        for precision in manifest.precisions:
            if precision != default:
                entry.others[precision] = self._serve_or_refuse(folder, manifest, precision)
        entry.served = served

    def _serve_or_refuse(
        self, folder: Path, manifest: Manifest, precision: Precision
    ) -> Served | str:
        try:
            return self._serve(folder, manifest, precision)
        except Exception as error:  # noqa: BLE001 - the other precision serves all the same
            reason = str(error) if isinstance(error, BundleError) else repr(error)
        self._metrics.load_failures.inc()
        model = {"model": manifest.name, "version": manifest.version, "precision": precision}
        log.error("precision refused", **model, reason=reason)
        return reason

    def _serve(self, folder: Path, manifest: Manifest, precision: Precision) -> Served:
        model = OnnxModel(read_graph(folder, manifest, precision), manifest)
        tolerance = TOLERANCE if precision == "fp32" else manifest.variants[precision].tolerance
        check_invariance(model, self._bounds.chunk_steps or CHECKED_CHUNK, tolerance)
        metrics = self._metrics.of_model(manifest.name, manifest.version, precision)
        scheduler = Scheduler(model, self._bounds, calibrate(model, self._bounds), metrics)
        self._engine.add(scheduler)
        metrics.watch(
            lambda: self._engine.num_waiting(scheduler), lambda: scheduler.core.num_active
        )
        self._metrics.model_info.labels(
            manifest.name,
            manifest.version,
            precision,
            manifest.family,
            manifest.task,
            manifest.batching,
        ).set(1)
        return Served(manifest, scheduler, precision)


def _other(entry: Entry, manifest: Manifest, precision: str, field: str) -> Served:
    """A precision that is not the one that answers by default."""
    found = entry.others.get(precision)
    if found is None:
        refused = manifest.refused_variants.items()
        why = "".join(f": {reason}" for name, reason in refused if name == precision)
        there = " and ".join(manifest.precisions)
        raise InvalidRequestError(
            f"{field} {precision!r} is none of model {entry.name!r}, which has {there}{why}", field
        )
    if isinstance(found, str):
        raise ModelNotReadyError(
            f"{precision} of model {entry.name!r} is not ready: {found}", field
        )
    return found


def _latest_version(model: Path) -> str | None:
    """The highest of the folder's numeric subfolders."""
    versions = [
        path.name
        for path in model.iterdir()
        if path.name.isascii() and path.name.isdigit() and path.is_dir()
    ]
    return max(versions, key=int, default=None)
