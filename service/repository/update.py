"""What is to serve of a model, loaded: the step from its files to what a request can be led to."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import structlog

from service.errors import BundleError, DrainingError
from service.repository.files import Source, Stamp
from service.repository.loading import Loader
from service.repository.routes import LEFT_OUT, Entry, Routes
from service.repository.served import Loaded
from service.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

MISSING = "the repository has no such version"


@dataclasses.dataclass
class Update:
    """One update of one model: nothing of it serves until its routes are published.

    Args:
        loader: Loads the versions.
        metrics: Counts those that are refused.
        source: Of the files.
        before: The model as it is.
        reload: Load again what serves and has not changed.
        on_loading: Told of each version that is about to be loaded and does not serve yet.
        stops: Whether the server is stopping.
    """

    loader: Loader
    metrics: Metrics
    source: Source
    before: Routes
    reload: bool
    on_loading: Callable[[Entry], None]
    stops: Callable[[], bool]
    refused: dict[str, str] = dataclasses.field(default_factory=dict)
    """Why, by what is not as it should be: a version or `serving.json`."""
    fresh: list[Loaded] = dataclasses.field(default_factory=list)
    """What it loaded."""

    def run(self) -> Routes:
        """Load what is to serve and does not yet; the model as it should be from now on.

        A version that is refused leaves the one serving that served by its number before, or, of
        the latest, lets the next lower one in.

        Raises:
            DrainingError: The server stops.
        """
        found = self.source.versions()
        if not found:
            return Routes(self.name, {})
        try:
            config = self.source.config()
        except BundleError as error:
            return self._refuse_all(found, str(error))
        entries = {v: self._entry(v, found.get(v)) for v in sorted(config.named, key=int)}
        num_serving = 0
        for version in config.candidates(found):
            if num_serving < config.count and version not in entries:
                entries[version] = self._entry(version, found[version])
            if version not in entries:
                entries[version] = Entry(self.name, version, "UNAVAILABLE", LEFT_OUT)
            num_serving += entries[version].loaded is not None
        return Routes(self.name, {}, config).replace(*entries.values())

    @property
    def name(self) -> str:
        """Of the model."""
        return self.before.name

    def _entry(self, version: str, stamp: Stamp | None) -> Entry:
        """The version as it is now, loaded unless it is and its files are as they were."""
        old = self.before.entries.get(version, Entry(self.name, version))
        if stamp is None:
            return self._refuse(old, (), MISSING)
        is_known = old.loaded is not None or (old.state == "UNAVAILABLE" and not old.is_absent)
        if is_known and old.stamp == stamp and not self.reload:
            return old
        if self.stops():
            raise DrainingError("the server is stopping")
        if old.loaded is None:
            self.on_loading(Entry(self.name, version))
        return self._load(old, stamp)

    def _load(self, old: Entry, stamp: Stamp) -> Entry:
        started_s = time.perf_counter()
        try:
            loaded = self.loader.load(self.source.folder / old.version)
        except DrainingError:
            raise
        except BundleError as error:
            return self._refuse(old, stamp, str(error))
        except Exception as error:  # noqa: BLE001 - one bad bundle must not stop the others
            return self._refuse(old, stamp, f"{type(error).__name__}: {error}")
        elapsed_s = time.perf_counter() - started_s
        self.fresh.append(loaded)
        self.metrics.repository.load_duration.labels(self.name, old.version).set(elapsed_s)
        log.info("model ready", model=self.name, version=old.version, load_s=elapsed_s)
        return Entry(self.name, old.version, "READY", loaded=loaded, stamp=stamp)

    def _refuse(self, old: Entry, stamp: Stamp, reason: str) -> Entry:
        """The version refused; what served by its number before goes on serving."""
        self.refused[f"version {old.version}"] = reason
        self.metrics.repository.load_failures.inc()
        log.error("model refused", model=self.name, version=old.version, reason=reason)
        if old.loaded is not None and stamp:
            reason = f"serves as it was loaded before; its files now are refused: {reason}"
            return dataclasses.replace(old, reason=reason, stamp=stamp)
        return Entry(self.name, old.version, "UNAVAILABLE", reason, stamp=stamp)

    def _refuse_all(self, found: dict[str, Stamp], reason: str) -> Routes:
        """The model as it is, but for the reason; what does not serve is refused."""
        self.refused["the model"] = reason
        self.metrics.repository.load_failures.inc()
        log.error("model refused", model=self.name, version="", reason=reason)
        serving = [
            dataclasses.replace(self.before.entries[v], reason=reason) for v in self.before.serving
        ]
        others = [
            Entry(self.name, version, "UNAVAILABLE", reason)
            for version in found.keys() - self.before.serving.keys()
        ]
        return self.before.replace(*serving, *others)
