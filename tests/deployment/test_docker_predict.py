"""What `make docker-test` asks of the models, in a tree that has bundles of one's own too."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.graphs.made import sum_graph, write_sum_bundle
from tests.servers import CHECKOUT, bundles_folder, serving


@pytest.fixture
def docker_test(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(CHECKOUT / "deploy"))
    yield importlib.import_module("docker_test")
    for name in ("docker_test", "docker_stack", "dashboard"):
        sys.modules.pop(name, None)


def test_each_model_is_asked_what_it_can_answer(tmp_path: Path, docker_test: Any) -> None:
    (tmp_path / "digits-gru").symlink_to(bundles_folder() / "digits-gru")
    write_sum_bundle(tmp_path, "mine")  # a classification that hears nothing
    (tmp_path / "bare" / "1").mkdir(parents=True)
    (tmp_path / "bare" / "1" / "model.onnx").write_bytes(sum_graph("sequences"))
    with serving(tmp_path, calibration_ms=1) as server:
        sent: Counter[str] = Counter()
        hearing = docker_test.predict(SimpleNamespace(url=server.base_url), sent)
    assert hearing == "digits-gru"
    assert sent == {"digits-gru": 1, "mine": 1}


def test_without_the_bundled_digits_it_says_so(tmp_path: Path, docker_test: Any) -> None:
    write_sum_bundle(tmp_path, "mine")
    with (
        serving(tmp_path, calibration_ms=1) as server,
        pytest.raises(RuntimeError, match="no model hears digits"),
    ):
        docker_test.predict(SimpleNamespace(url=server.base_url), Counter())
