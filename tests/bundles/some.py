"""A server of a few of the bundled models."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import REPOSITORY, Server, serving


@contextmanager
def serving_some(*patterns: str) -> Iterator[Server]:
    """A server of the bundles whose names are like one of these."""
    with tempfile.TemporaryDirectory() as folder:
        for pattern in patterns:
            for model in REPOSITORY.glob(pattern):
                (Path(folder) / model.name).symlink_to(model)
        with serving(folder) as server:
            yield server
