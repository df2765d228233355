"""Two workers, and a repository for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.made import copy_bundle, make_bundle
from tests.servers import Server, serving
from tests.workers.processes import LSTM


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    make_bundle(tmp_path / "repository")
    copy_bundle(LSTM, tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def server(repository: Path) -> Iterator[Server]:
    with serving(repository, workers=2) as server:
        yield server
