"""The classification extension: `value:index:label` of the largest values of each row."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.codec.classes import top_classes
from tests.http.payloads import frames, infer_body
from tests.http.refusals import check_refusal
from tests.protocol.asking import described, infer, outputs_of
from tests.protocol.made import EXPLAINING, LABELLED


def classify(client: httpx.Client, model: str, k: Any, **more: Any) -> httpx.Response:
    outputs = [{"name": "logits", "parameters": {"classification": k, **more}}]
    body = infer_body(frames(5), frames(9), outputs=outputs)
    return client.post(f"/v2/models/{model}/infer", json=body)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("k", [1, 3, 10, 99])
def test_the_logits_have_the_names_of_the_bundle(
    client: httpx.Client, k: int, binary: bool
) -> None:
    path = f"/v2/models/{LABELLED}/infer"
    logits = outputs_of(client.post(path, json=infer_body(frames(5), frames(9))))["logits"]
    for _ in range(3):  # by heart or not
        found = outputs_of(classify(client, LABELLED, k, binary_data=binary))["logits"]
        assert found.shape == (2, min(k, 10))
        for row, values in zip(found, logits, strict=True):
            order = np.argsort(-values)[:k]
            for text, index in zip(row, order, strict=True):
                value, its_index, label = text.split(":")
                assert int(its_index) == index
                assert label == str(index)  # digits are called by their names
                assert float(value) == pytest.approx(values[index], abs=1e-4)


def test_what_has_no_names_has_none(client: httpx.Client) -> None:
    outputs = [{"name": "weights", "parameters": {"classification": 1}}]
    body = infer_body(frames(5), outputs=outputs)
    answer = client.post(f"/v2/models/{EXPLAINING}/infer", json=body).json()
    (output,) = answer["outputs"]
    assert output["datatype"] == "BYTES"
    assert output["data"][0].count(":") == 1


def test_none_is_the_tensor_itself(client: httpx.Client) -> None:
    assert classify(client, LABELLED, 0).json()["outputs"][0]["datatype"] == "FP32"


@pytest.mark.parametrize("k", [-1, 1.5, "2", True])
def test_a_count_that_is_none_is_refused(client: httpx.Client, k: Any) -> None:
    field = "outputs[0].parameters.classification"
    check_refusal(classify(client, LABELLED, k), 400, field, "unsigned integer")


@pytest.mark.parametrize("datatype", ["BYTES", "BOOL"])
def test_values_without_an_order_have_no_classes(client: httpx.Client, datatype: str) -> None:
    values = np.array(["a"], object) if datatype == "BYTES" else np.array([True])
    tensor, _ = described("x", values, datatype, binary=False)
    outputs = [{"name": "y", "parameters": {"classification": 1}}]
    response = infer(client, f"{datatype.lower()}-1", {"inputs": [tensor], "outputs": outputs})
    check_refusal(response, 400, "outputs[0].parameters.classification", datatype)


def test_what_is_not_finite_has_no_classes(client: httpx.Client) -> None:
    tensor, _ = described("x", np.array([-1.0]), "FP32", binary=False)
    outputs = [{"name": "y", "parameters": {"classification": 1, "binary_data": True}}]
    response = infer(client, "log", {"inputs": [tensor], "outputs": outputs})
    check_refusal(response, 422, "y", code="not_finite")


@given(arrays(np.int8, st.lists(st.integers(0, 4), max_size=3).map(tuple)), st.integers(1, 5))
def test_of_any_values_the_largest_come_first(values: Any, k: int) -> None:
    found = top_classes(values, k, ["zero", "one"])
    rows = values.reshape(len(values), -1) if values.ndim > 1 and values.size else None
    if rows is None:
        return
    assert found.shape == (len(values), min(k, rows.shape[1]))
    for texts, row in zip(found, rows, strict=True):
        wanted = sorted(range(len(row)), key=lambda index: (-int(row[index]), index))[:k]
        assert [int(text.split(":")[1]) for text in texts] == wanted
        assert [int(text.split(":")[0]) for text in texts] == [int(row[i]) for i in wanted]
