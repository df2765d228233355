"""The models as they are at this moment: looked up without waiting, changed by one thread."""

from __future__ import annotations

from collections.abc import Callable

from service.errors import ModelNotFoundError
from service.repository.routes import Routes


class Catalog:
    """Every model by its name.

    Args:
        models: Those that are known at first.
    """

    def __init__(self, *models: Routes) -> None:
        self.models = {model.name: model for model in models}
        """Replaced as a whole at each change, so that who reads it sees one moment."""
        self.required = set(self.models)
        """Names of those without which the server is not ready."""
        self.on_change: Callable[[], object] = lambda: None
        """Called when requests lead elsewhere than before."""

    def find(self, name: str) -> Routes:
        """A model.

        Raises:
            ModelNotFoundError: There is none of this name.
        """
        model = self.models.get(name)
        if model is None:
            raise ModelNotFoundError(f"there is no model {name!r}", "name")
        return model

    def put(self, model: Routes) -> None:
        """Have a model be like this from now on; one without versions is none."""
        others = {name: each for name, each in self.models.items() if name != model.name}
        if model.entries:
            others[model.name] = model
        before = self.models.get(model.name, Routes(model.name, {}))
        self.models = dict(sorted(others.items()))
        if (model.serving, model.config) != (before.serving, before.config):
            self.on_change()
