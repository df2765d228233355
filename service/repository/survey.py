"""Looks at a repository as a whole: its models, what can't be looked at, what is no model.

The last two end nothing: the index shows them, the log tells when they come, change and are over,
the metrics have them, and the next look is at all of it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from service.errors import DrainingError, StandsStillError
from service.reading import within
from service.reasons import why
from service.repository.catalog import Catalog
from service.repository.layout import Layout, Look, look_into, versions_in
from service.repository.routes import Entry, Routes
from service.telemetry.metrics import Metrics

FIRST_LOOK_S = 1.0  # a start waits no longer to know which models there are

log = structlog.get_logger(__name__)


class Survey:
    """Keeps a catalog's faults; for the repository's thread alone.

    Args:
        folder: Where the bundles are.
        catalog: Of their models.
        metrics: Tells whether all of it could be looked at.
        refresh: Called before each look at the folder; tells what could not be had, and why.
        look: Makes each look; see `look_into`.
    """

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        metrics: Metrics,
        refresh: Callable[[], Mapping[str, str]],
        look: Look[Any],
    ) -> None:
        self._look = look
        self._lock = threading.RLock()  # of what stood still, another thread tells that it is over
        self._folder = folder
        self._catalog = catalog
        self._metrics = metrics
        self._refresh = refresh
        self._unreadable: dict[str, str] = {}
        self.succeeded = False
        """Whether the folder could be listed, ever."""

    @contextmanager
    def looking(self) -> Iterator[list[str] | None]:
        """The names of the models; None if the folder can't be listed. Its end tells the faults."""
        self._unreadable = dict(self._try_refresh())
        layout = self._try_to_look()
        if layout is not None:
            self.succeeded = True
            self._unreadable |= layout.unreadable
        try:
            yield None if layout is None else layout.models
        finally:
            self._tell(layout.misplaced if layout is not None else {})
            self._tell_emptiness(layout.fault if layout is not None else "")

    def note(self, name: str, reason: str) -> bool:
        """A model can't be looked at, as is seen meanwhile; whether that is news."""
        name = name or self._place
        self._unreadable[name] = reason
        return self._catalog.faults.get(name) != reason

    def is_over(self, name: str) -> None:
        """What stood still when a model was looked at has come to its end; by any thread."""
        name = name or self._place
        with self._lock:
            self._unreadable.pop(name, None)
            faults = {each: why for each, why in self._catalog.faults.items() if each != name}
            if len(faults) < len(self._catalog.faults):
                log.info("is looked at again", name=name)
                self._catalog.faults = faults
                self._metrics.repository.look_ok.set(not self._unreadable)

    @property
    def fault(self) -> str:
        """What is wrong with the repository as a whole, as of the last look."""
        return self._catalog.faults.get(self._place, "")

    @property
    def _place(self) -> str:
        return str(self._folder.absolute())  # which is no model's name

    def _try_refresh(self) -> Mapping[str, str]:
        try:
            found = self._look("", self._refresh)
            return {name or self._place: reason for name, reason in found.items()}
        except DrainingError:
            raise
        except Exception as error:  # each kind of repository has errors of its own
            reason = f"it can't be brought up to date: {why(error)}"
            if self._catalog.faults.get(self._place) != reason:
                log.exception("the repository can't be brought up to date")
            return {self._place: reason}

    def _try_to_look(self) -> Layout | None:
        try:
            return look_into(self._folder, self._look)
        except (OSError, StandsStillError) as error:
            self._unreadable[self._place] = why(error)
            return None

    def _tell_emptiness(self, fault: str) -> None:
        emptiness = {self._place: fault} if fault else {}
        if emptiness and emptiness != self._catalog.emptiness and not self._catalog.models:
            log.error("no models", repository=self._place, reason=fault)
        self._catalog.emptiness = emptiness

    def _tell(self, misplaced: Mapping[str, str]) -> None:
        with self._lock:
            self._tell_faults(misplaced)

    def _tell_faults(self, misplaced: Mapping[str, str]) -> None:
        before, faults = self._catalog.faults, {**misplaced, **self._unreadable}
        for name, reason in faults.items():
            if before.get(name) == reason:
                continue
            if name in self._unreadable:
                log.error("can't be looked at", name=name, reason=reason)
            else:
                log.error("no model as it lies there", name=name, reason=reason)
        for name in before.keys() - faults.keys():
            log.info("is looked at again", name=name)
        self._catalog.faults = faults
        self._metrics.repository.look_ok.set(not self._unreadable)


def known_at_first(folder: Path) -> list[Routes]:
    """The models of a folder before any is loaded; none if it can't be looked at, yet or soon."""
    try:
        return within(FIRST_LOOK_S, partial(_models_in, folder))
    except OSError:  # the first look tells
        return []


def _models_in(folder: Path) -> list[Routes]:
    models = []
    for name in look_into(folder).models:
        entries = (Entry(name, version) for version in versions_in(folder / name))
        models.append(Routes(name, {}).replace(*entries))
    return models
