"""The models of a folder: each loaded, then served by its name, or refused with its reason."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

from service.engine.engine import Engine
from service.errors import DrainingError, ModelNotReadyError
from service.manifest import Precision
from service.origin.signatures import UNCHECKED, Signatures
from service.reasons import without_folders
from service.repository.catalog import Catalog
from service.repository.changes import Change
from service.repository.keeper import Keeper
from service.repository.loading import Loader
from service.repository.routes import Entry, Routed, Routes
from service.repository.served import Served
from service.repository.survey import known_at_first
from service.repository.watching import Watcher
from service.schedulers.bounds import Bounds
from service.telemetry.metrics import Metrics


class Repository:
    """The models of one folder, `<model>/<version>/`, and how they change while it serves.

    All changes are made by one thread, one after the other: a second one waits for the first. What
    a request is led to is looked up without waiting, by any thread.

    Args:
        folder: Where the bundles are.
        engine: Runs their batches.
        metrics: Counts them.
        bounds: Of each model's scheduler.
        precision: What answers unless a request says otherwise, where a model has it; else fp32.
        poll_s: Look for changed files every so many seconds; 0: never.
        refresh: Called before each look at the folder, as to bring it up to date; tells what could
            not be, and why, by the name of a model or empty for all.
        signatures: Says which bundles may serve; default: all.
        random: Decides who gets a canary or is shadowed.
        storage_timeout_s: Reading may stand still for so long before other models go on.
    """

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        metrics: Metrics,
        bounds: Bounds,
        precision: Precision = "fp32",
        poll_s: float = 0.0,
        refresh: Callable[[], Mapping[str, str]] = dict,
        signatures: Signatures = UNCHECKED,
        random: Random | None = None,
        storage_timeout_s: float = math.inf,
    ) -> None:
        self._catalog = Catalog(*known_at_first(folder))
        self._folders = sorted({folder.absolute(), folder.resolve()})
        self._random = random or Random()
        self._stopping = threading.Event()
        self._scanned = threading.Event()
        self._loader = Loader(engine, metrics, bounds, precision, signatures)
        self._keeper = Keeper(
            folder,
            self._catalog,
            self._loader,
            metrics,
            refresh,
            self._stopping.is_set,
            storage_timeout_s,
        )
        self._keeper.on_answer = self._look_soon
        self._thread = ThreadPoolExecutor(1, "repository")
        self._poll_s = poll_s
        self._watcher: Watcher | None = None

    @property
    def on_change(self) -> Callable[[], object]:
        """Called when other models serve than before; by the repository's thread."""
        return self._catalog.on_change

    @on_change.setter
    def on_change(self, on_change: Callable[[], object]) -> None:
        self._catalog.on_change = on_change

    def start(self) -> None:
        """Load every model in the background; the server is alive meanwhile, not ready."""
        self._thread.submit(self._load_all)
        if self._poll_s:
            self._watcher = Watcher(self._poll_s, self._look)

    def close(self, patience_s: float = math.inf) -> bool:
        """Stop loading.

        Args:
            patience_s: After so long what still reads is left to itself.

        Returns:
            Whether all threads have ended.
        """
        self._stopping.set()
        self._loader.stop()
        if self._watcher is not None:
            self._watcher.close()
        self._thread.shutdown(cancel_futures=True)
        return self._keeper.close(patience_s)

    # what is there

    def index(self) -> list[Entry]:
        """Every version of every model, by name, those included that do not serve.

        Without a version: what lies in the repository and is no model, or can't be looked at.
        """
        left = self._keeper.left()
        loading = {
            name: f"loading for {it.seconds:.0f} s; the last thing was {it.what}"
            for name, it in left.items()
        }
        return [
            dataclasses.replace(entry, reason=loading[entry.name])
            if entry.state == "LOADING" and entry.name in loading
            else entry
            for entry in self._catalog.index()
        ]

    def without_folders(self, reason: str) -> str:
        """A reason, or a name of the index, as it is told to who is not to know where files lie."""
        return without_folders(reason, *self._folders)

    def num_left(self) -> int:
        """Models whose files are being read for longer than that should take."""
        return len(self._keeper.left())

    def refused(self) -> list[tuple[str, str]]:
        """The models and versions whose files, as they are now, are refused."""
        return [(entry.name, entry.version) for entry in self.index() if entry.is_refused]

    def versions(self, name: str) -> list[str]:
        """The versions of a model that serve."""
        return list(self._find(name).serving)

    def is_ready(self, strict: bool) -> bool:
        """Whether every bundle was dealt with and, if `strict`, all models found at start serve.

        Strict refuses an empty repository: it is rather a wrong path than a wish, and a server
        without a model can answer nothing. A server that is to start empty is not strict. A model
        that comes later, or that was unloaded, decides nothing.
        """
        if not self._scanned.is_set():
            return False
        serving = {name for name, model in self._catalog.models.items() if model.default}
        required = self._catalog.required & self._catalog.models.keys()
        return not strict or (bool(serving) and required <= serving)

    def get(
        self,
        name: str,
        version: str | None = None,
        precision: str | None = None,
        field: str = "precision",
    ) -> Served:
        """The model that answers by this name; without a version, never one on trial.

        Args:
            name: Of the model.
            version: It must have, if any; or an alias of it.
            precision: It must compute with, if any.
            field: Where in the request the precision stands, for the error.

        Raises:
            ModelNotFoundError: There is none, or it has another version.
            ModelNotReadyError: It is loading, or was refused.
            InvalidRequestError: It has no such precision.
        """
        try:
            return self._find(name).find(version).get(precision, field)
        except ModelNotReadyError as error:
            raise self._for_callers(error) from None

    def route(self, name: str, version: str | None = None) -> Routed:
        """Where one request goes: to a canary too, and to a shadow as well, as chance decides.

        Raises:
            ModelNotFoundError: As `get`.
            ModelNotReadyError: As `get`.
        """
        try:
            return self._find(name).route(version, self._random)
        except ModelNotReadyError as error:
            raise self._for_callers(error) from None

    def apply(self, change: Change) -> Future[None]:
        """Load or unload a model; over when all is done, what no longer serves is freed too.

        Raises:
            ModelNotFoundError: There is none of this name.
            InvalidRequestError: A file's name or the configuration is not as it should be.
            BundleRefusedError: A version is not as it should be; what served goes on serving.
            StandsStillError: Its storage does not answer; the load goes on by itself.
            DrainingError: The server is stopping.
        """
        if self._stopping.is_set():
            raise DrainingError("the server is stopping")
        return self._thread.submit(self._keeper.apply, change)

    def _load_all(self) -> None:
        with suppress(DrainingError):
            self._keeper.load_all()
            self._scanned.set()

    def _look(self) -> None:
        with suppress(DrainingError, CancelledError):
            self._thread.submit(self._keeper.look).result()

    def _for_callers(self, error: ModelNotReadyError) -> ModelNotReadyError:
        return ModelNotReadyError(self.without_folders(error.message), error.field)

    def _look_soon(self) -> None:
        with suppress(RuntimeError):  # it is stopping
            self._thread.submit(self._keeper.look)

    def _find(self, name: str) -> Routes:
        if name not in self._catalog.models and not self._scanned.is_set():
            raise ModelNotReadyError("the repository is still loading", "name")
        return self._catalog.find(name)
