"""The bundles: found on disk, verified, checked for invariance, warmed, and only then served."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from typing import Literal

import structlog

from service.engine.cells import CellScheduler
from service.engine.engine import Engine
from service.engine.invariance import check_invariance
from service.engine.model import OnnxModel
from service.engine.scheduler import Bounds, Scheduler
from service.engine.sequences import SequenceScheduler
from service.errors import BundleError, ModelNotFoundError, ModelNotReadyError
from service.manifest import Manifest, read_graph, read_manifest
from service.metrics import Metrics

log = structlog.get_logger(__name__)

SCHEDULERS: dict[str, type[Scheduler]] = {"cells": CellScheduler, "sequences": SequenceScheduler}


@dataclasses.dataclass(frozen=True)
class Served:
    """A model that answers."""

    manifest: Manifest
    scheduler: Scheduler


@dataclasses.dataclass
class Entry:
    """One model of the repository, serving or not; named as in Triton's repository index."""

    name: str
    version: str
    state: Literal["LOADING", "READY", "UNAVAILABLE"] = "LOADING"
    reason: str = ""
    served: Served | None = None


class Repository:
    """The models of one folder, `<model>/<version>/`; of each, the latest version serves.

    Args:
        folder: Where the bundles are.
        engine: Runs their batches.
        metrics: Counts them.
        bounds: Of each model's scheduler.
    """

    def __init__(self, folder: Path, engine: Engine, metrics: Metrics, bounds: Bounds) -> None:
        self._folder = folder
        self._engine = engine
        self._metrics = metrics
        self._bounds = bounds
        self._entries = {
            model.name: Entry(model.name, version)
            for model in sorted(folder.iterdir())
            if model.is_dir() and (version := _latest_version(model))
        }
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

    def get(self, name: str, version: str | None = None) -> Served:
        """The model that answers by this name.

        Raises:
            ModelNotFoundError: There is none, or it has another version.
            ModelNotReadyError: It is loading, or was refused.
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
        return entry.served

    def _load_all(self) -> None:
        for entry in self.index():
            if self._stopping.is_set():
                return
            started_s = time.perf_counter()
            try:
                entry.served = self._load(self._folder / entry.name / entry.version)
                entry.state = "READY"
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

    def _load(self, folder: Path) -> Served:
        manifest = read_manifest(folder)
        model = OnnxModel(read_graph(folder, manifest), manifest)
        check_invariance(model, self._bounds.chunk_steps)
        metrics = self._metrics.of_model(manifest.name, manifest.version)
        scheduler = SCHEDULERS[manifest.batching](model, self._bounds, metrics)
        metrics.watch(lambda: scheduler.num_waiting, lambda: scheduler.num_active)
        self._engine.add(scheduler)
        self._metrics.model_info.labels(
            manifest.name, manifest.version, manifest.family, manifest.task, manifest.batching
        ).set(1)
        return Served(manifest, scheduler)


def _latest_version(model: Path) -> str | None:
    """The highest of the folder's numeric subfolders."""
    versions = [
        path.name
        for path in model.iterdir()
        if path.name.isascii() and path.name.isdigit() and path.is_dir()
    ]
    return max(versions, key=int, default=None)
