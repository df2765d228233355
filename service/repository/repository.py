"""The models of a folder: each loaded, then served by its name, or refused with its reason."""

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
from service.manifest import Precision
from service.repository.loading import Loaded, Loader, Served
from service.repository.signatures import UNCHECKED, Signatures
from service.schedulers.bounds import Bounds
from service.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


@dataclasses.dataclass
class Entry:
    """One model of the repository, serving or not; named as in Triton's repository index."""

    name: str
    version: str
    state: Literal["LOADING", "READY", "UNAVAILABLE"] = "LOADING"
    reason: str = ""
    loaded: Loaded | None = None


class Repository:
    """The models of one folder, `<model>/<version>/`; of each, the latest version serves.

    Args:
        folder: Where the bundles are.
        engine: Runs their batches.
        metrics: Counts them.
        bounds: Of each model's scheduler.
        precision: What answers unless a request says otherwise, where a model has it; else fp32.
        signatures: Says which bundles may serve; default: all.
    """

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        metrics: Metrics,
        bounds: Bounds,
        precision: Precision = "fp32",
        signatures: Signatures = UNCHECKED,
    ) -> None:
        self._folder = folder
        self._metrics = metrics
        self._loader = Loader(engine, metrics, bounds, precision, signatures)
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
        if entry.loaded is None:
            reason = entry.reason or "it is still loading"
            raise ModelNotReadyError(f"model {name!r} is not ready: {reason}", "name")
        if precision is None or precision == entry.loaded.served.precision:
            return entry.loaded.served
        return _other(entry.loaded, precision, field)

    def _load_all(self) -> None:
        for entry in self.index():
            if self._stopping.is_set():
                return
            started_s = time.perf_counter()
            try:
                entry.loaded = self._loader.load(self._folder / entry.name / entry.version)
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


def _other(loaded: Loaded, precision: str, field: str) -> Served:
    """A precision that is not the one that answers by default."""
    found, served = loaded.others.get(precision), loaded.served
    if found is None:
        refused = served.manifest.refused_variants.items() if served.manifest else ()
        why = "".join(f": {reason}" for name, reason in refused if name == precision)
        there = " and ".join(sorted({served.precision, *loaded.others}))
        raise InvalidRequestError(
            f"{field} {precision!r} is none of model {served.name!r}, which has {there}{why}", field
        )
    if isinstance(found, str):
        raise ModelNotReadyError(
            f"{precision} of model {served.name!r} is not ready: {found}", field
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
