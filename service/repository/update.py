"""What is to serve of a model, loaded: the step from its files to what a request can be led to."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import structlog

from service.errors import BundleError, DrainingError, UnreadableError
from service.reasons import why
from service.repository.files import Source, Stamp
from service.repository.loading import Loader
from service.repository.policy import CONFIG_FILE, ServingConfig
from service.repository.routes import LEFT_OUT, Entry, Routes
from service.repository.served import Loaded
from service.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

MISSING = "the repository has no such version"
KEPT = "serves as it was loaded before; its files now are refused: "


@dataclasses.dataclass
class Update:
    """One update of one model: nothing of it serves until its routes are published.

    Args:
        loader: Loads the versions.
        metrics: Counts those that are refused.
        source: Of the files.
        before: The model as it is.
        reload: A request asks for it: load again what serves and has not changed.
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
    """Why, by what is not as it should be: a version or the configuration."""
    fresh: list[Loaded] = dataclasses.field(default_factory=list)
    """What it loaded."""
    is_void: bool = False
    """Whether its configuration can't be fulfilled: all stays as it was."""
    is_unreadable: bool = False
    """Whether it is to be tried again though no file changes."""

    def run(self) -> Routes:
        """Load what is to serve and does not yet; the model as it should be from now on.

        A version that is refused leaves the one serving that served by its number before, or, of
        the latest, lets the next lower one in. A configuration that can't be fulfilled, as one that
        names such a version, leaves the one before it in force. At the start there is none: then
        what can be had serves, but nothing if it can't be told which version is on trial.

        Raises:
            DrainingError: The server stops.
            OSError: The model's folder can't be read.
        """
        found = self.source.versions()
        if not found and not self.source.has_config:
            return Routes(self.name, {})
        try:
            config = self.source.config()
        except BundleError as error:
            self.is_unreadable = isinstance(error, UnreadableError)
            return self._refuse_all(found, str(error))
        fault = config.find_fault(found)
        if fault and (self._replaces_another or not config.on_trial <= found.keys()):
            return self._refuse_all(found, f"{self._what} can't be fulfilled: {fault}")
        routes = self._load_all(config, found)
        lost = [version for version in sorted(config.named) if version not in routes.serving]
        if lost and self._replaces_another:
            return self._take_back(routes, lost)
        self._warn_of_other_inputs(config, routes)
        return routes

    @property
    def _replaces_another(self) -> bool:
        """Whether a configuration is in force, or is asked for by someone who is told."""
        return self.reload or bool(self.before.serving)

    @property
    def _what(self) -> str:
        return CONFIG_FILE if self.source.given is None else "the configuration"

    def _load_all(self, config: ServingConfig, found: dict[str, Stamp]) -> Routes:
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
            return self._refuse(old, None, MISSING)
        is_known = old.loaded is not None or (old.state == "UNAVAILABLE" and not old.is_absent)
        if is_known and old.stamp == stamp and not self.reload:
            return old
        if self.stops():
            raise DrainingError("the server is stopping")
        if old.loaded is None and (old.is_absent or not old.reason):
            self.on_loading(Entry(self.name, version))
        return self._load(old, stamp)

    def _load(self, old: Entry, stamp: Stamp) -> Entry:
        started_s = time.perf_counter()
        try:
            loaded = self.loader.load(self.source.folder / old.version)
        except DrainingError:
            raise
        except UnreadableError as error:
            return self._refuse_unread(old, str(error))
        except BundleError as error:
            return self._refuse(old, stamp, str(error))
        except OSError as error:
            return self._refuse_unread(old, why(error))
        except Exception as error:  # noqa: BLE001 - one bad bundle must not stop the others
            return self._refuse(old, stamp, f"{type(error).__name__}: {error}")
        elapsed_s = time.perf_counter() - started_s
        self.fresh.append(loaded)
        self.metrics.repository.load_duration.labels(self.name, old.version).set(elapsed_s)
        log.info("model ready", model=self.name, version=old.version, load_s=elapsed_s)
        return Entry(self.name, old.version, "READY", loaded=loaded, stamp=stamp)

    def _warn_of_other_inputs(self, config: ServingConfig, routes: Routes) -> None:
        """Say that a version on trial takes other inputs than what it stands in for."""
        default = next((v for v in config.candidates(routes.serving) if v in routes.serving), None)
        if default is None:
            return
        inputs = set(routes.serving[default].served.signature.inputs)
        for version in sorted(config.on_trial & routes.serving.keys(), key=int):
            others = routes.serving[version].served.signature.inputs
            if set(others) != inputs and routes.serving[version] in self.fresh:
                log.warning(
                    "version on trial takes other inputs: requests made for the default will fail",
                    model=self.name,
                    version=version,
                    default=default,
                    inputs=[spec.name for spec in others],
                )

    def _refuse_unread(self, old: Entry, reason: str) -> Entry:
        """The version refused for now: it may be read again though nothing of it changes."""
        self.is_unreadable = True
        refused = self._refuse(old, old.stamp or (), reason)
        return dataclasses.replace(refused, stamp=None)

    def _refuse(self, old: Entry, stamp: Stamp | None, reason: str) -> Entry:
        """The version refused; what served by its number before goes on serving."""
        self.refused[f"version {old.version}"] = reason
        keeps = old.loaded is not None and stamp is not None
        shown = f"{KEPT}{reason}" if keeps else reason
        self._tell(old.version, reason, is_new=shown != old.reason)
        if keeps:
            return dataclasses.replace(old, reason=shown, stamp=stamp)
        return Entry(self.name, old.version, "UNAVAILABLE", reason, stamp=stamp)

    def _refuse_all(self, found: dict[str, Stamp], reason: str) -> Routes:
        """The model as it is, but for the reason; what does not serve is refused."""
        self.is_void = True
        self.refused["the model"] = reason
        self._tell("", reason, is_new=reason != self.before.fault)
        entries = self.before.entries
        untried = [
            Entry(self.name, version, "UNAVAILABLE", reason)
            for version in found
            if version not in entries
            or (entries[version].loaded is None and not entries[version].is_absent)
        ]
        return dataclasses.replace(self.before.replace(*untried), fault=reason)

    def _take_back(self, routes: Routes, lost: list[str]) -> Routes:
        """The model as it was, as some of what is to serve by its configuration is refused."""
        for loaded in self.fresh:
            self.loader.unload(loaded)
        reason = f"{self._what} can't be fulfilled: it names version {', '.join(lost)}, refused"
        refused = [routes.entries[version] for version in lost]
        return self._refuse_all({}, reason).replace(*refused)

    def _tell(self, version: str, reason: str, is_new: bool) -> None:
        """Log and count what is refused: once, however often it is tried without being asked to."""
        if is_new or self.reload:
            self.metrics.repository.load_failures.inc()
            log.error("model refused", model=self.name, version=version, reason=reason)
