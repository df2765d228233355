"""What a request can change of the models, in a form that travels between workers."""

from __future__ import annotations

import msgspec


class Load(msgspec.Struct, tag=True):
    """Load a model, or load it again.

    Args:
        name: Of the model.
        config: JSON to use in place of the folder's own `serving.json`, if any.
        files: To use in place of the repository's, by `<version>/<file>`.
    """

    name: str
    config: str | None = None
    files: dict[str, bytes] = {}


class Unload(msgspec.Struct, tag=True):
    """Unload a model.

    Args:
        name: Of the model.
    """

    name: str


Change = Load | Unload
