"""A server of the committed language models alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.generation.asking import MODELS, REPOSITORY
from tests.servers import Server, serving


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generation") / "repository"
    folder.mkdir()
    for model in MODELS:
        (folder / model).symlink_to(REPOSITORY / model)
    return folder


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[Server]:
    with serving(repository) as server:
        yield server
