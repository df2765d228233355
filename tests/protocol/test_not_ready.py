"""A model that does not serve says so to every question, and harms no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.any_onnx.made import one_node, write
from tests.http.refusals import check_refusal
from tests.protocol.asking import infer
from tests.servers import Server, serving


@pytest.fixture(scope="module")
def partly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a model that serves and one whose graph can't be read."""
    folder: Path = tmp_path_factory.mktemp("partly")
    write(folder, "good", one_node("Neg", ["n", 3], ["n", 3]))
    write(folder, "bad", one_node("Neg", ["n", 3], ["n", 3]))
    (folder / "bad" / "1" / "model.onnx").write_bytes(b"no graph")
    with serving(folder, strict_readiness=False, failures_expected=True) as server:
        yield server


@pytest.mark.parametrize("version", ["", "/versions/1"])
@pytest.mark.parametrize("what", ["", "/config", "/stats"])
def test_a_refused_model_is_503_to_every_question(partly: Server, what: str, version: str) -> None:
    response = partly.client.get(f"/v2/models/bad{version}{what}")
    check_refusal(response, 503, "name", "not ready", code="model_not_ready")
    assert partly.client.get(f"/v2/models/good{version}{what}").status_code == 200


def test_a_refused_model_is_neither_ready_nor_asked_nor_counted(partly: Server) -> None:
    assert partly.client.get("/v2/models/bad/ready").status_code == 503
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    refusal = infer(partly.client, "bad", {"inputs": [tensor]})
    check_refusal(refusal, 503, "name", "not ready", code="model_not_ready")
    assert infer(partly.client, "good", {"inputs": [tensor]}).status_code == 200
    counted = partly.client.get("/v2/models/stats").json()["model_stats"]
    assert [model["name"] for model in counted] == ["good"]


def test_a_server_without_its_models_is_not_ready(partly: Server, tmp_path: Path) -> None:
    with serving(tmp_path, ready=False) as empty:
        empty.wait_for_event("engine started")
        assert empty.client.get("/v2/health/ready").status_code == 503
        assert empty.client.get("/v2/health/live").status_code == 200
