"""What tests of several folders share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from the environment that the tests run in."""
    for name in os.environ:
        if name.startswith("SEQSERVE_"):
            monkeypatch.delenv(name)
