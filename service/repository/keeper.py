"""What the repository's thread does: it loads, switches over, drains and frees, one by one.

What reads files is done by a thread beside it, which is left to itself when the storage does not
answer; what then comes of it still counts. Of one model, there is never more than one such thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from service.errors import (
    BundleRefusedError,
    DrainingError,
    InvalidRequestError,
    ModelNotFoundError,
    StandsStillError,
)
from service.memory import give_back_memory
from service.reasons import why
from service.repository.catalog import Catalog
from service.repository.changes import Change, Load
from service.repository.files import ModelStamp, Source
from service.repository.loading import Loader
from service.repository.patience import Left, Patience
from service.repository.policy import parse_config
from service.repository.routes import UNLOADED, Entry, Routes
from service.repository.survey import Survey
from service.repository.update import Update
from service.repository.uploads import PREFIX, unpack
from service.repository.watching import Changes
from service.telemetry.metrics import Metrics
from service.temporary import remove_abandoned

log = structlog.get_logger(__name__)

UPLOADS = "(uploads)"  # no model's name
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Keeper:
    """Keeps a catalog as the files and the requests say.

    Args:
        folder: Where the bundles are.
        catalog: Of their models.
        loader: Loads them.
        metrics: Counts those that are refused.
        refresh: Called before each look at the folder; tells what could not be had, and why.
        stops: Whether the server is stopping.
    """

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        loader: Loader,
        metrics: Metrics,
        refresh: Callable[[], Mapping[str, str]],
        stops: Callable[[], bool],
        storage_timeout_s: float,
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._loader = loader
        self._metrics = metrics
        self._stops = stops
        self._patience = Patience(storage_timeout_s, stops, loader.leave, self._on_over)
        self._survey = Survey(folder, catalog, metrics, refresh, self._patience.make)
        self._sources: dict[str, Source] = {}
        self._unloaded: set[str] = set()
        self._changes: Changes[ModelStamp] = Changes()
        self.on_answer: Callable[[], object] = lambda: None
        """Called, by any thread, when a repository that could not be listed can be after all."""

    def close(self, patience_s: float) -> bool:
        """Remove what was brought by requests; whether all threads ended within this time."""
        for source in self._sources.values():
            source.discard()
        return self._patience.close(patience_s)

    def left(self) -> dict[str, Left]:
        """What stands still, or did and goes on: by the model's name, empty for the repository."""
        return self._patience.left()

    def load_all(self) -> None:
        """Load every model that is there at the start.

        Raises:
            DrainingError: The server stops.
        """
        with suppress(StandsStillError, OSError):  # of the folder for temporary files
            self._patience.make(UPLOADS, partial(remove_abandoned, PREFIX))
        with self._survey.looking() as models, self._loader.loading():
            for name in sorted({*self._catalog.models, *(models or ())}):
                self._catalog.required.add(name)
                self._try_update(name)

    def look(self) -> None:
        """Do what changed files say: load, load again, unload; nothing if they can't be looked at.

        Raises:
            DrainingError: The server stops.
        """
        if not self._survey.succeeded:
            self.load_all()  # the start's, which could not look
            return
        with self._survey.looking() as models, self._loader.loading():
            if models is None:
                return
            for name in sorted({*self._catalog.models, *models} - self._unloaded):
                self._try_update(name, only_changed=True)

    def apply(self, change: Change) -> None:
        """Do what a request says.

        Raises:
            ModelNotFoundError: There is none of this name.
            InvalidRequestError: A file's name or the configuration is not as it should be.
            BundleRefusedError: A version is not as it should be, or can't be read; what served goes
                on serving.
            StandsStillError: Its storage does not answer; what was begun goes on.
            StorageError: There is no room for the files that came with it.
        """
        try:
            with self._loader.loading():
                if isinstance(change, Load):
                    source = self._source_of(change)
                    self._patience.make(change.name, partial(self._load, source))
                else:
                    self._catalog.find(change.name)
                    self._patience.make(change.name, partial(self._unload, change.name))
        finally:
            give_back_memory()

    def _load(self, source: Source) -> None:
        name = source.folder.name
        try:
            refused = self._update(source, reload=True)
        except OSError as error:
            source.discard()
            raise BundleRefusedError(f"model {name!r} can't be read: {why(error)}") from None
        except BaseException:
            source.discard()
            raise
        if refused:
            reasons = "; ".join(f"{what}: {reason}" for what, reason in refused.items())
            raise BundleRefusedError(f"model {name!r} is refused: {reasons}")

    def _source_of(self, change: Load) -> Source:
        name, field = change.name, "parameters.config"
        if fault_now := self._patience.fault(name):
            raise fault_now
        if not NAME.fullmatch(name):
            raise ModelNotFoundError(f"the repository has no model {name!r}", "name")
        config = parse_config(change.config, field) if change.config is not None else None
        if change.files:
            if config is None:
                raise InvalidRequestError(f"{field} must come with files, if only as {{}}", field)
            return unpack(name, change.files, config)
        with self._survey.looking() as models:
            pass  # its end tells what can't be looked at
        if fault_now := self._patience.fault("") or self._patience.fault(name):
            raise fault_now
        if models is None:
            raise BundleRefusedError(f"the repository can't be looked at: {self._survey.fault}")
        if name in models:
            return Source(self._folder / name, config)
        if fault := self._catalog.faults.get(name):
            raise BundleRefusedError(f"model {name!r} is refused: {fault}")
        raise ModelNotFoundError(f"the repository has no model {name!r}", "name")

    def _unload(self, name: str) -> None:
        model = self._catalog.find(name)
        self._catalog.required.discard(name)
        self._unloaded.add(name)
        self._changes.forget(name)
        if source := self._sources.pop(name, None):
            source.discard()
        there = Source(self._folder / name).versions()
        entries = (Entry(name, version, "UNAVAILABLE", UNLOADED) for version in there)
        self._switch(Routes(name, {}, model.config).replace(*entries))

    def _source(self, name: str) -> Source:
        return self._sources.get(name) or Source(self._folder / name)

    def _try_update(self, name: str, only_changed: bool = False) -> None:
        """Update a model as its files are; the others need not know if that fails."""
        try:
            self._patience.make(name, partial(self._update_changed, name, only_changed))
        except DrainingError:
            raise
        except StandsStillError as error:
            self._survey.note(name, error.message)
            if self._patience.fault(name) is None:  # it was over before it was noted
                self._survey.is_over(name)
        except OSError as error:
            self._survey.note(name, why(error))
        except Exception as error:
            if self._survey.note(name, f"{type(error).__name__}: {error}"):
                log.exception("model not updated", model=name)
        give_back_memory()

    def _update_changed(self, name: str, only_changed: bool) -> None:
        source = self._source(name)
        if not only_changed or self._changes.is_over(name, source.stamp()):
            self._update(source)

    def _on_over(self, name: str) -> None:
        self._survey.is_over(name)
        give_back_memory()
        if not name and not self._survey.succeeded:
            self.on_answer()

    def _update(self, source: Source, reload: bool = False) -> dict[str, str]:
        """Load what of a model is to serve, and have it serve; what was refused, and why."""
        name = source.folder.name
        before = self._catalog.models.get(name, Routes(name, {}))
        stamp = source.stamp()
        update = Update(
            self._loader, self._metrics, source, before, reload, self._show_loading, self._stops
        )
        routes = update.run()
        if update.refused and source.upload is not None:  # it counts as one
            if not update.is_void:
                for loaded in update.fresh:
                    self._loader.unload(loaded)
            self._catalog.put(before)
            source.discard()
            return update.refused
        if update.is_unreadable:
            self._changes.forget(name)  # to be tried again, whatever is found then
        elif not (reload and update.is_void):
            self._changes.applied(name, stamp)
        if update.is_void:
            # what a request asked for in vain leaves no trace, what the files say is shown
            self._catalog.put(before if source.given is not None else routes)
            return update.refused
        self._unloaded.discard(name)
        replaced = self._sources.pop(name, source)
        if routes.entries:
            self._sources[name] = source
        self._switch(routes)
        if replaced is not source:
            replaced.discard()
        return update.refused

    def _show_loading(self, entry: Entry) -> None:
        model = self._catalog.models.get(entry.name, Routes(entry.name, {}))
        self._catalog.put(model.replace(entry))

    def _switch(self, routes: Routes) -> None:
        """Lead requests to what is to serve; what no longer is gets drained and freed."""
        before = self._catalog.models.get(routes.name, routes).serving
        leaving = [
            Entry(routes.name, version, "UNLOADING")
            for version in before
            if version not in routes.serving
        ]
        self._catalog.put(routes.replace(*leaving))
        for loaded in before.values():
            if loaded not in routes.serving.values():
                self._loader.unload(loaded)
        if leaving:
            log.info("model unloaded", model=routes.name, versions=[e.version for e in leaving])
            self._catalog.put(routes)
