"""The models as they are at this moment: looked up without waiting, changed one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from service.errors import ModelNotFoundError, ModelNotReadyError
from service.repository.routes import Entry, Routes


class Catalog:
    """Every model by its name.

    Args:
        models: Those that are known at first.
    """

    def __init__(self, *models: Routes) -> None:
        self._lock = threading.Lock()
        self.models = {model.name: model for model in models}
        """Replaced as a whole at each change, so that who reads it sees one moment."""
        self.required = set(self.models)
        """Names of those without which the server is not ready."""
        self.faults: Mapping[str, str] = {}
        """What lies in the repository and can't be looked at, or is no model as it lies there: why,
        by its name or by the repository's own place. Replaced as a whole too."""
        self.emptiness: Mapping[str, str] = {}
        """Likewise why the repository as a whole has no models, while there are none."""
        self.on_change: Callable[[], object] = lambda: None
        """Called when requests lead elsewhere than before."""

    def find(self, name: str) -> Routes:
        """A model.

        Raises:
            ModelNotFoundError: There is none of this name.
            ModelNotReadyError: There is something that may be one.
        """
        model = self.models.get(name)
        if model is not None:
            return model
        if fault := self.faults.get(name):
            raise ModelNotReadyError(f"model {name!r} is not ready: {fault}", "name")
        raise ModelNotFoundError(f"there is no model {name!r}", "name")

    def index(self) -> list[Entry]:
        """Every version of every model, by name; faults of the repository without a version."""
        models, faults = self.models, self.faults
        if not models:
            faults = {**self.emptiness, **faults}
        entries = [entry for model in models.values() for entry in model.as_seen()]
        entries += [Entry(name, "", "UNAVAILABLE", reason) for name, reason in faults.items()]
        return sorted(entries, key=lambda entry: entry.name)

    def put(self, model: Routes) -> None:
        """Have a model be like this from now on; one without versions is none."""
        with self._lock:
            self._put(model)

    def _put(self, model: Routes) -> None:
        others = {name: each for name, each in self.models.items() if name != model.name}
        if model.entries:
            others[model.name] = model
        before = self.models.get(model.name, Routes(model.name, {}))
        self.models = dict(sorted(others.items()))
        if (model.serving, model.config) != (before.serving, before.config):
            self.on_change()
