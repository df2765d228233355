"""Files that a request brought go though their server was killed; another's stay."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from service.repository.uploads import PREFIX
from tests.lifecycle.asking import Asking, upload_of, write_versions
from tests.servers import Server, serving


def load(server: Server, folder: Path) -> None:
    """Bring a model of this folder."""
    answer = Asking(server, folder.name).load({}, **upload_of(folder))
    assert answer.status_code == 200, answer.text


def test_the_next_start_removes_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    write_versions(tmp_path, 1, name="sent")
    shutil.rmtree(folder)
    folder.mkdir()  # nothing to load: the servers are soon there
    quick: dict[str, Any] = {"calibration_ms": 0, "strict_readiness": False}
    with serving(folder, **quick) as living:
        load(living, tmp_path / "sent")
        (kept,) = temporary.glob(f"{PREFIX}*")
        with serving(folder, **quick) as killed:
            load(killed, tmp_path / "sent")
            assert len(list(temporary.glob(f"{PREFIX}*"))) == 2
            killed.kill()
            killed.process.returncode = 0  # as wanted
        assert len(list(temporary.glob(f"{PREFIX}*"))) == 2
        with serving(folder, **quick):
            assert list(temporary.glob(f"{PREFIX}*")) == [kept]
        assert Asking(living, "sent").answering() == "1"
    assert not list(temporary.glob(f"{PREFIX}*"))
