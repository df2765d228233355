"""What clients write for what they leave out: null; and the mark that some begin a text with."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest

from tests.http.payloads import frames, predict_path
from tests.http.refusals import check_refusal
from tests.protocol.asking import LENGTH, described, infer, outputs_of

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)
MARK = b"\xef\xbb\xbf"
JSON = {"Content-Type": "application/json"}


def document_of(binary: bool) -> tuple[dict[str, Any], bytes]:
    """With null for all that may be left out, as KServe's and MLServer's own messages have it."""
    tensor, blob = described("x", VALUES, "FP32", binary=binary)
    tensor = {"parameters": None, **({"data": None} if binary else {}), **tensor}
    output = {"name": "y", "parameters": None, "shape": None, "data": None}
    whole = {"id": None, "parameters": None, "model_name": None, "inputs": [tensor]}
    return {**whole, "outputs": [output]}, blob


@pytest.mark.parametrize("binary", [True, False])
def test_null_is_what_is_left_out(client: httpx.Client, binary: bool) -> None:
    document, blob = document_of(binary)
    for _ in range(4):  # until it is known by heart
        response = infer(client, "rows", document, blob)
        assert outputs_of(response)["y"].tolist() == (-VALUES).tolist()
        assert "id" not in json.loads(response.content)
    document["outputs"] = None
    assert infer(client, "rows", document, blob).status_code == 200


@pytest.mark.parametrize("binary", [True, False])
def test_a_sequence_model_that_is_known_by_heart_takes_them_too(
    client: httpx.Client, binary: bool
) -> None:
    tensor, blob = described("inputs", frames(5)[None], "FP32", binary=binary)
    wanted = outputs_of(infer(client, "digits-lstm", {"inputs": [tensor]}, blob))["logits"]
    nulls = {"id": None, "parameters": None, "inputs": [{"parameters": None, **tensor}]}
    for _ in range(4):
        found = outputs_of(infer(client, "digits-lstm", nulls, blob))["logits"]
        np.testing.assert_array_equal(found, wanted)


def test_a_parameter_of_null_is_not_given(client: httpx.Client) -> None:
    tensor, _ = described("x", VALUES, "FP32", binary=False)
    tensor["parameters"] = {"content_type": None, "binary_data_size": None}
    nothing = {"timeout": None, "priority": None, "sequence_id": None, "headers": None}
    for _ in range(4):
        response = infer(client, "rows", {"inputs": [tensor], "parameters": nothing})
        assert outputs_of(response)["y"].tolist() == (-VALUES).tolist()


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        ({"inputs": None}, "inputs"),
        ({"inputs": [None]}, "inputs[0]"),
        ({"inputs": [{"name": None, "shape": [1], "datatype": "FP32", "data": [1]}]}, "name"),
        ({"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": None}]}, "data"),
        ({"inputs": [{"name": "x", "shape": [1, None], "datatype": "FP32", "data": [1]}]}, "shape"),
        ({"outputs": [None]}, "outputs[0]"),
    ],
)
def test_what_must_be_there_may_not_be_null(
    client: httpx.Client, spoil: dict[str, Any], field: str
) -> None:
    tensor, _ = described("x", VALUES, "FP32", binary=False)
    response = infer(client, "rows", {"inputs": [tensor], **spoil})
    assert response.status_code == 400
    assert field in response.json()["field"], response.text


def test_an_element_of_null_stays_one(client: httpx.Client) -> None:
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, None, 3]}
    response = infer(client, "rows", {"inputs": [tensor], "parameters": None})
    check_refusal(response, 400, "inputs[0].data[1]", "null")


def test_a_task_takes_null_for_what_may_be_left_out(client: httpx.Client) -> None:
    body = {"sequences": [frames(4).tolist()]}
    wanted = client.post(predict_path(), json=body).json()
    nulls = {"top_k": None, "explain": None, "timeout_s": None, "priority": None, "audio": None}
    assert client.post(predict_path(), json={**body, **nulls}).json() == wanted
    check_refusal(client.post(predict_path(), json={"sequences": None}), 400, "sequences")


@pytest.mark.parametrize("path", ["/v2/repository/index", "/v2/logging"])
def test_what_tells_and_what_sets_take_them_too(client: httpx.Client, path: str) -> None:
    body = {"ready": None} if "index" in path else {"log_info": None, "log_file": None}
    assert client.post(path, json=body).json() == client.post(path, json={}).json()


def test_a_byte_order_mark_is_passed_over(client: httpx.Client) -> None:
    for binary in (False, True):
        tensor, blob = described("x", VALUES, "FP32", binary=binary)
        head = MARK + json.dumps({"inputs": [tensor]}).encode()
        for kind in ("application/json", "application/octet-stream", ""):
            headers = ({LENGTH: str(len(head))} if binary else {}) | {"Content-Type": kind}
            for _ in range(3):
                path = "/v2/models/rows/infer"
                response = client.post(path, content=head + blob, headers=headers)
                assert outputs_of(response)["y"].tolist() == (-VALUES).tolist()
    task = MARK + json.dumps({"sequences": [frames(4).tolist()]}).encode()
    assert client.post(predict_path(), content=task, headers=JSON).status_code == 200
    assert client.post("/v2/repository/index", content=MARK + b"{}").status_code == 200
    check_refusal(client.post("/v2/models/rows/infer", content=MARK + MARK + b"{}"), 400, "")
