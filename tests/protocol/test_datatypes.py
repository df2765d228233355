"""Every datatype through a real server and back: in JSON, in binary, and one by the other."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.http.refusals import check_refusal
from tests.protocol.asking import LENGTH, NUMBERS, described, infer, outputs_of, strings
from tests.protocol.made import ONNX, identity_of

WHOLE = [name for name in NUMBERS if "INT" in name]
REAL = ["FP16", "FP32", "FP64"]


def elements(datatype: str) -> st.SearchStrategy[Any]:
    if datatype == "BYTES":
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    if datatype == "BOOL":
        return st.booleans()
    if datatype in REAL:
        width: Any = 8 * np.dtype(NUMBERS[datatype]).itemsize
        return st.floats(width=width, allow_nan=False, allow_infinity=False)
    limits = np.iinfo(NUMBERS[datatype])
    return st.integers(int(limits.min), int(limits.max))


@st.composite
def tensors(draw: st.DrawFn, datatype: str) -> NDArray[Any]:
    """Of 0 to 2 axes, none of them empty: the batch must not be, and what is by rows is one."""
    shape = draw(st.lists(st.integers(1, 3), max_size=2))
    size = int(np.prod(shape, dtype=int))
    values = draw(st.lists(elements(datatype), min_size=size, max_size=size))
    if datatype == "BYTES":
        return strings(values, shape)
    return np.array(values, NUMBERS[datatype]).reshape(shape)


@pytest.mark.parametrize("datatype", [name for name in ONNX if name != "BF16"])
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_what_goes_in_comes_out_in_either_form(
    client: httpx.Client, datatype: str, data: st.DataObject
) -> None:
    values = data.draw(tensors(datatype))
    binary_in, binary_out, nested = (data.draw(st.booleans()) for _ in range(3))
    tensor, blob = described("x", values, datatype, binary=binary_in, nested=nested)
    document = {
        "inputs": [tensor],
        "outputs": [{"name": "y", "parameters": {"binary_data": binary_out}}],
    }
    found = outputs_of(infer(client, identity_of(datatype, values.ndim), document, blob))["y"]
    assert found.shape == values.shape
    assert found.tolist() == values.tolist()


@settings(deadline=None, max_examples=20)
@given(bits=st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=4))
def test_bf16_travels_bit_by_bit(client: httpx.Client, bits: list[int]) -> None:
    values = np.array(bits, np.uint16)
    tensor, blob = described("x", values, "BF16", binary=True)
    document = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    response = infer(client, identity_of("BF16", 1), document, blob)
    found = outputs_of(response)["y"]
    quiet = 0x40  # a signalling NaN may be made quiet on its way through a graph
    is_nan = (values & 0x7FFF) > 0x7F80
    assert ((found | is_nan * quiet) == (values | is_nan * quiet)).all()


@pytest.mark.parametrize("datatype", REAL)
def test_binary_carries_what_is_not_finite(client: httpx.Client, datatype: str) -> None:
    values = np.array([np.nan, np.inf, -np.inf, -0.0], NUMBERS[datatype])
    tensor, blob = described("x", values, datatype, binary=True)
    document = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    found = outputs_of(infer(client, identity_of(datatype, 1), document, blob))["y"]
    assert found.tobytes() == values.tobytes()


@pytest.mark.parametrize("datatype", REAL)
def test_json_refuses_an_answer_that_is_not_finite(client: httpx.Client, datatype: str) -> None:
    tensor, blob = described("x", np.array([np.nan], NUMBERS[datatype]), datatype, binary=True)
    response = infer(client, identity_of(datatype, 1), {"inputs": [tensor]}, blob)
    check_refusal(response, 422, "y", "'y'", "binary", code="not_finite")


@pytest.mark.parametrize(("datatype", "value"), [("FP16", 70_000), ("FP32", 1e39)])
def test_a_number_beyond_the_type_is_no_infinity(
    client: httpx.Client, datatype: str, value: float
) -> None:
    tensor = {"name": "x", "shape": [1], "datatype": datatype, "data": [value]}
    document = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    response = infer(client, identity_of(datatype, 1), document)
    check_refusal(response, 400, "inputs[0].data", "beyond")


@pytest.mark.parametrize("datatype", WHOLE)
def test_a_whole_number_beyond_the_type_is_refused(client: httpx.Client, datatype: str) -> None:
    limits = np.iinfo(NUMBERS[datatype])
    for value in (int(limits.max) + 1, int(limits.min) - 1):
        tensor = {"name": "x", "shape": [1], "datatype": datatype, "data": [value]}
        response = infer(client, identity_of(datatype, 1), {"inputs": [tensor]})
        check_refusal(response, 400, "inputs[0].data", datatype)


def test_bf16_has_no_form_in_json(client: httpx.Client) -> None:
    model = identity_of("BF16", 1)
    tensor: dict[str, Any] = {"name": "x", "shape": [1], "datatype": "BF16", "data": [1]}
    check_refusal(
        infer(client, model, {"inputs": [tensor], "parameters": {"binary_data_output": True}}),
        400, "inputs[0].datatype", "BF16",
    )  # fmt: skip
    tensor, blob = described("x", np.array([1], np.uint16), "BF16", binary=True)
    response = infer(client, model, {"inputs": [tensor]}, blob)
    check_refusal(response, 400, "parameters.binary_data_output", "binary")
    document = {"inputs": [tensor], "outputs": [{"name": "y"}]}
    check_refusal(infer(client, model, document, blob), 400, "outputs[0].parameters", "binary")


def test_a_boolean_is_a_byte_of_0_or_1(client: httpx.Client) -> None:
    tensor, _ = described("x", np.array([True, True]), "BOOL", binary=True)
    response = infer(client, "bool-1", {"inputs": [tensor]}, b"\x01\x02")
    check_refusal(response, 400, "inputs[0]", "neither 0 nor 1")
    response = client.post("/v2/models/bool-1/infer", content=b"\x02", headers={LENGTH: "0"})
    check_refusal(response, 400, "x", "neither 0 nor 1")


def test_a_scalar_may_be_bare(client: httpx.Client) -> None:
    for data in (2.5, [2.5]):
        tensor = {"name": "x", "shape": [], "datatype": "FP32", "data": data}
        response = infer(client, identity_of("FP32", 0), {"inputs": [tensor]})
        assert response.json()["outputs"][0] == {
            "name": "y", "shape": [], "datatype": "FP32", "data": [2.5],
        }  # fmt: skip


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("datatype", ["FP32", "BYTES", "INT8"])
def test_an_axis_may_be_empty(client: httpx.Client, datatype: str, binary: bool) -> None:
    values = strings([], [2, 0]) if datatype == "BYTES" else np.zeros((2, 0), NUMBERS[datatype])
    tensor, blob = described("x", values, datatype, binary=binary, nested=True)
    document = {"inputs": [tensor]}
    headers = {LENGTH: str(len(json.dumps(document)))}
    response = infer(client, identity_of(datatype), document, blob, headers)
    assert outputs_of(response)["y"].shape == (2, 0)


@pytest.mark.parametrize(
    ("blob", "field", "words"),
    [
        (b"\x01\0\0\0a\xff\0\0\0b", "inputs[0]", "255 bytes"),
        (b"\x01\0\0\0a\x01\0", "inputs[0]", "ends within"),
        (b"\x01\0\0\0a", "inputs[0].shape", "1 elements"),
        (b"\x01\0\0\0a\x01\0\0\0\xff", "inputs[0]", "not UTF-8"),
    ],
)
def test_strings_that_are_not_what_they_say(
    client: httpx.Client, blob: bytes, field: str, words: str
) -> None:
    parameters = {"binary_data_size": len(blob)}
    tensor = {"name": "x", "shape": [2], "datatype": "BYTES", "parameters": parameters}
    response = infer(client, identity_of("BYTES", 1), {"inputs": [tensor]}, blob)
    check_refusal(response, 400, field, words)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("BYTES", [1]),
        ("BYTES", [["a", "b"], ["c"]]),
        ("FP32", ["1"]),
        ("BOOL", [1]),
        ("INT8", [1.5]),
    ],
)
def test_values_of_another_kind_are_refused(
    client: httpx.Client, datatype: str, data: list[Any]
) -> None:
    tensor = {"name": "x", "shape": [len(data)], "datatype": datatype, "data": data}
    response = infer(client, identity_of(datatype, 1), {"inputs": [tensor]})
    assert response.status_code == 400
    assert response.json()["field"].startswith("inputs[0].data")


@pytest.mark.parametrize(
    ("model", "shape"), [("rows", [3]), ("rows", [1, 2]), ("fixed", [3, 2]), ("rows", [1, 3, 1])]
)
@pytest.mark.parametrize("binary", [True, False])
def test_a_shape_that_the_graph_has_not_is_named(
    client: httpx.Client, model: str, shape: list[int], binary: bool
) -> None:
    tensor, blob = described("x", np.zeros(shape, np.float32), "FP32", binary=binary)
    response = infer(client, model, {"inputs": [tensor]}, blob)
    check_refusal(response, 400, "inputs[0].shape", str(shape))


def test_the_second_of_two_tensors_is_named(client: httpx.Client) -> None:
    fit, blob = described("b", np.zeros((1, 3), np.float32), "FP32", binary=True)
    unfit, _ = described("a", np.zeros((1, 4), np.float32), "FP32", binary=False)
    response = infer(client, "sum", {"inputs": [fit, unfit]}, blob)
    check_refusal(response, 400, "inputs[1].shape", "[1, 4]")
