"""Keeps the log quiet: here texts fail often."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs


@pytest.fixture(autouse=True, scope="package")
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield
