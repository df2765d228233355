"""The Open Inference Protocol over REST, and what else answers without computing."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from tests.http.alone import Alone
from tests.http.payloads import (
    EXPLAINING,
    FAMILIES,
    frames,
    infer_body,
    infer_path,
    predict_path,
    rows_of,
)
from tests.http.refusals import check_refusal
from tests.servers import bundles_folder

LOGITS = {"name": "logits", "datatype": "FP32", "shape": [-1, 10]}
WEIGHTS = {"name": "weights", "datatype": "FP32", "shape": [-1, -1]}


def test_health(client: httpx.Client) -> None:
    for path, answer in (
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/digits-lstm/ready", {"name": "digits-lstm", "ready": True}),
        ("/v2/models/digits-lstm/versions/1/ready", {"name": "digits-lstm", "ready": True}),
    ):
        response = client.get(path)
        assert (response.status_code, response.json()) == (200, answer)


def test_health_of_models_that_are_not_there(client: httpx.Client) -> None:
    check_refusal(client.get("/v2/models/nosuch/ready"), 404, "name", "'nosuch'")
    check_refusal(client.get("/v2/models/digits-lstm/versions/9/ready"), 404, "version", "'9'")


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_server_metadata(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    metadata = response.json()
    assert metadata.keys() == {"name", "version", "extensions"}
    assert metadata["name"] == "seqserve"
    assert all(isinstance(extension, str) for extension in metadata["extensions"])


@pytest.mark.parametrize("model", FAMILIES)
def test_model_metadata(client: httpx.Client, model: str) -> None:
    response = client.get(f"/v2/models/{model}")
    assert response.json() == client.get(f"/v2/models/{model}/versions/1").json()
    assert response.json() == {
        "name": model,
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [
            {"name": "inputs", "datatype": "FP32", "shape": [-1, -1, 40]},
            {"name": "lengths", "datatype": "INT64", "shape": [-1, 1]},
        ],
        "outputs": [LOGITS, *([WEIGHTS] if model in EXPLAINING else [])],
    }


def test_metadata_of_models_that_are_not_there(client: httpx.Client) -> None:
    check_refusal(client.get("/v2/models/nosuch"), 404, "name", "'nosuch'")
    check_refusal(client.get("/v2/models/digits-lstm/versions/9"), 404, "version", "'9'")


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_infer_answers_as_the_metadata_say(client: httpx.Client, model: str, version: str) -> None:
    body = infer_body(frames(4), frames(9))
    response = client.post(f"/v2/models/{model}{version}/infer", json=body)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert answer.keys() == {"model_name", "model_version", "outputs"}
    assert (answer["model_name"], answer["model_version"]) == (model, "1")
    shapes = {"logits": [2, 10]} | ({"weights": [2, 9]} if model in EXPLAINING else {})
    assert [output["name"] for output in answer["outputs"]] == list(shapes)
    for output in answer["outputs"]:
        assert output.keys() == {"name", "datatype", "shape", "data"}
        assert output["datatype"] == "FP32"
        assert output["shape"] == shapes[output["name"]]
        assert len(output["data"]) == np.prod(output["shape"])


@pytest.mark.parametrize("request_id", ["42", "", "ü ✓ \u2028 'quoted' \"\\", "x" * 1_000])
def test_the_id_is_echoed(client: httpx.Client, request_id: str) -> None:
    response = client.post(infer_path(), json=infer_body(frames(2), id=request_id))
    assert response.json()["id"] == request_id


def test_no_id_none_echoed(client: httpx.Client) -> None:
    assert "id" not in client.post(infer_path(), json=infer_body(frames(2))).json()
    assert "id" not in client.post(infer_path(), json=infer_body(frames(2), id=None)).json()


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ([], ["logits", "weights"]),
        (["logits"], ["logits"]),
        (["weights"], ["weights"]),
        (["weights", "logits"], ["weights", "logits"]),
    ],
)
def test_the_outputs_asked_for_in_their_order(
    client: httpx.Client, alone: dict[str, Alone], asked: list[str], got: list[str]
) -> None:
    sequence = frames(12)
    body = infer_body(sequence, outputs=[{"name": name} for name in asked])
    answer = client.post(infer_path("digits-attention"), json=body).json()
    assert [output["name"] for output in answer["outputs"]] == got
    expected = alone["digits-attention"](sequence)
    for output in answer["outputs"]:
        wanted = expected.logits if output["name"] == "logits" else expected.weights
        assert wanted is not None
        np.testing.assert_allclose(rows_of(output)[0], wanted, rtol=0, atol=1e-4)


def test_what_the_protocol_lets_a_client_send_besides(client: httpx.Client) -> None:
    body = infer_body(
        frames(2),
        id="1",
        parameters={"timeout": 5_000_000, "priority": 1, "note": "any", "flag": True, "x": 0.5},
        outputs=[{"name": "logits", "parameters": {"binary_data": False}}],
    )
    body["inputs"][0]["parameters"] = {"content_type": "np"}
    assert client.post(infer_path(), json=body).status_code == 200


def test_repository_index(client: httpx.Client) -> None:
    wanted = [
        {"name": path.name, "version": "1", "state": "READY", "reason": ""}
        for path in sorted(bundles_folder().iterdir())
    ]
    bodies: list[bytes] = [b"", b"{}", b'{"ready": true}', b'{"ready": false}']
    for body in bodies:
        response = client.post("/v2/repository/index", content=body)
        assert (response.status_code, response.json()) == (200, wanted)
    check_refusal(client.post("/v2/repository/index", content=b'{"ready": 1}'), 400, "ready")


def test_the_list_of_models(client: httpx.Client, alone: dict[str, Alone]) -> None:
    response = client.get("/v1/models")
    assert response.status_code == 200
    models = {model["name"]: model for model in response.json()["models"]}
    assert sorted(models) == sorted(path.name for path in bundles_folder().iterdir())
    for name in FAMILIES:
        model, manifest = models[name], alone[name].manifest
        for field in ("version", "family", "task", "batching", "limits"):
            assert model[field] == manifest[field], field
        assert model["quality"] == {**manifest["quality"], "beaten_by": []}
        assert model["labels"] == manifest["outputs"]["labels"] == list("0123456789")
        assert model["features"] == manifest["inputs"]["features"]
        assert model["audio"] == manifest["audio"]
        assert model["explains"] == (name in EXPLAINING)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", predict_path(), "POST"),
        ("PUT", predict_path(), "POST"),
        ("GET", infer_path(), "POST"),
        ("DELETE", "/v2/models/digits-lstm", "GET"),
        ("POST", "/v2", "GET"),
        ("POST", "/v2/health/live", "GET"),
        ("GET", "/v2/repository/index", "POST"),
        ("POST", "/metrics", "GET"),
        ("PATCH", "/v1/models", "GET"),
    ],
)
def test_wrong_verb(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    response = client.request(method, path)
    check_refusal(response, 405, "", method, path, code="method_not_allowed")
    assert allowed in response.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/models/", "/v3/models", "/v2/models/", "/v2/models/a/b/c"]
)
def test_unknown_path(client: httpx.Client, path: str) -> None:
    check_refusal(client.get(path), 404, "", path, code="not_found")


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Every (path, method, operation) of an OpenAPI document."""
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_example_of_the_openapi_document_answers(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    posted = 0
    for path, method, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        for kind, described in content.items():
            for example in described.get("examples", {}).values():
                url = path
                for parameter in operation.get("parameters", []):
                    default = parameter["schema"].get("default")
                    url = url.replace(f"{{{parameter['name']}}}", str(default))
                response = client.request(
                    method, url, json=example["value"], headers={"Content-Type": kind}
                )
                assert response.status_code == 200, (path, example["summary"], response.text)
                posted += 1
    assert posted >= 4  # frames and a recording on /v1; tensors on both paths of /v2


def test_the_openapi_document_declares_what_its_paths_hold(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert len(operations(document)) >= 12
    identifiers = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(identifiers)) == len(identifiers)
    for path, _, operation in operations(document):
        in_path = {part.strip("{}") for part in path.split("/") if part.startswith("{")}
        declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert declared == in_path, path
        # refusals have the service's own form, not the framework's
        assert "HTTPValidationError" not in str(operation), path
    assert "HTTPValidationError" not in str(document.get("components"))
