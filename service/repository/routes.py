"""Who answers a request to a model: its versions as they are, and what leads to which."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from random import Random
from typing import Literal, NamedTuple

from service.errors import ModelNotFoundError, ModelNotReadyError
from service.repository.files import Stamp
from service.repository.policy import ServingConfig
from service.repository.served import Loaded

UNLOADED = "unloaded"
QUARANTINED = "quarantined: a run of it hung, or ended a process"
LEFT_OUT = "not among the versions that are to serve"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One version of a model, serving or not; named as in Triton's repository index."""

    name: str
    version: str
    state: Literal["LOADING", "READY", "UNLOADING", "UNAVAILABLE"] = "LOADING"
    reason: str = ""
    loaded: Loaded | None = None
    stamp: Stamp | None = None
    """Of the files that were last tried; None if none were, or they are to be tried again."""

    def as_seen(self) -> Entry:
        """As who asks sees it at this moment: one that is quarantined does not answer."""
        if self.loaded is None or not self.loaded.served.scheduler.is_quarantined:
            return self
        return dataclasses.replace(self, state="UNAVAILABLE", reason=QUARANTINED)

    @property
    def is_absent(self) -> bool:
        """Whether it is not even meant to serve."""
        return self.state == "UNLOADING" or self.reason in (UNLOADED, LEFT_OUT)

    @property
    def is_refused(self) -> bool:
        """Whether its files, or those of one of its precisions, are not as they should be."""
        others = self.loaded.others.values() if self.loaded else ()
        return not self.is_absent and (
            bool(self.reason) or any(isinstance(it, str) for it in others)
        )


class Routed(NamedTuple):
    """Where one request goes.

    Args:
        loaded: What answers it.
        shadow: What is asked the same, to compare.
        varies: Another request of the same words may go elsewhere.
    """

    loaded: Loaded
    shadow: Loaded | None = None
    varies: bool = False


@dataclasses.dataclass(frozen=True)
class Routes:
    """A model at one moment; made anew at every change, so that a request sees all of one.

    Args:
        name: Of the model.
        entries: By version.
        config: What leads to which of them.
        fault: Why another configuration, which is to lead from now on, does not.
    """

    name: str
    entries: Mapping[str, Entry]
    config: ServingConfig = dataclasses.field(default_factory=ServingConfig)
    fault: str = ""

    def replace(self, *entries: Entry) -> Routes:
        """The same with other entries for some versions."""
        changed = {**self.entries, **{entry.version: entry for entry in entries}}
        ordered = {version: changed[version] for version in sorted(changed, key=int)}
        return dataclasses.replace(self, entries=ordered)

    def as_seen(self) -> list[Entry]:
        """Its versions as who asks sees them: those that serve though it is at fault say so too."""
        return [
            dataclasses.replace(entry, reason=entry.reason or self.fault) if entry.loaded else entry
            for entry in self.entries.values()
        ]

    @cached_property
    def serving(self) -> dict[str, Loaded]:
        """What answers, by version, lowest first."""
        entries = self.entries.items()
        return {version: entry.loaded for version, entry in entries if entry.loaded is not None}

    @cached_property
    def default(self) -> str | None:
        """The version that answers who names none: the highest that may.

        None if there is none: a trial does not become the rule where the rule is bad.
        """
        able = self.config.candidates(self.serving)
        return able[0] if able else None

    def find(self, version: str | None) -> Loaded:
        """What answers who asks for this version or alias.

        Raises:
            ModelNotFoundError: It has no such version, or that is not to serve.
            ModelNotReadyError: It is loading, or was refused.
        """
        if version is None:
            version = self.default
            if version is None:
                raise self._not_serving()
        loaded = self.serving.get(self.config.aliases.get(version, version))
        if loaded is None:
            raise self._not_there(version)
        return loaded

    def route(self, version: str | None, random: Random) -> Routed:
        """Where a request goes that names this version, or none.

        Raises:
            ModelNotFoundError: As `find`.
            ModelNotReadyError: As `find`.
        """
        canary, shadow = self.config.canary, self.config.shadow
        if canary is None and shadow is None:
            return Routed(self.find(version))
        if (
            version is None
            and canary is not None
            and canary.version in self.serving
            and random.random() < canary.weight
        ):
            version = canary.version
        loaded = self.find(version)
        compared = None
        if shadow is not None and random.random() < shadow.share:
            compared = self.serving.get(shadow.version)
        return Routed(loaded, None if compared is loaded else compared, varies=True)

    def _not_serving(self) -> ModelNotFoundError | ModelNotReadyError:
        meant = [entry for entry in self.entries.values() if not entry.is_absent]
        if not meant:
            return ModelNotFoundError(f"model {self.name!r} is not loaded", "name")
        waiting = [entry for entry in meant if entry.loaded is None]
        if not waiting:
            reason = "all of its versions that serve are on trial"
            return ModelNotReadyError(f"model {self.name!r} is not ready: {reason}", "name")
        return _not_ready(waiting[-1])

    def _not_there(self, version: str) -> ModelNotFoundError | ModelNotReadyError:
        entry = self.entries.get(self.config.aliases.get(version, version))
        if entry is not None and not entry.is_absent:
            return _not_ready(entry)
        names = ", ".join([*self.serving, *self.config.aliases]) or "none"
        return ModelNotFoundError(
            f"model {self.name!r} has no version {version!r}; it serves {names}", "version"
        )


def _not_ready(entry: Entry) -> ModelNotReadyError:
    reason = entry.reason or "it is still loading"
    return ModelNotReadyError(f"model {entry.name!r} is not ready: {reason}", "name")
