"""What most tests of the life cycle begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lifecycle.asking import write_versions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_versions(tmp_path / "repository", 1)
    return tmp_path / "repository"
