"""Every way to get /v2 wrong: the status of the table, the culprit by name, the server goes on."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from tests.http.payloads import WAV, frames, infer_body, infer_path, tensor
from tests.http.refusals import check_serving, refuse

INPUTS = tensor("inputs", np.stack([frames(3), frames(3, 1)]))
LENGTHS = tensor("lengths", np.array([3, 2]))


def refuse_tensors(client: httpx.Client, inputs: Any, status: int, field: str, *words: str) -> None:
    refuse(client, infer_path(), {"inputs": inputs}, status, field, *words)


def changed(tensor: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**tensor, **changes}


def with_value(text: str, nested: bool) -> str:
    """A body in which the last value of `inputs` is this text."""
    data: Any = np.stack([frames(3)] * 2)
    data[1, 2, 39] = 0.5
    body = {"inputs": [changed(INPUTS, data=(data if nested else data.ravel()).tolist()), LENGTHS]}
    plain = str(body).replace("'", '"')
    assert plain.count(" 0.5]") == 1
    return plain.replace(" 0.5]", f" {text}]")


@pytest.mark.parametrize("datatype", ["FP64", "FP16", "INT32", "BYTES", "BOOL", "fp32", "", "X"])
def test_wrong_datatype(client: httpx.Client, datatype: str) -> None:
    inputs = [LENGTHS, changed(INPUTS, datatype=datatype)]
    refuse_tensors(client, inputs, 400, "inputs[1].datatype", "FP32 for inputs")
    lengths = [INPUTS, changed(LENGTHS, datatype=datatype)]
    refuse_tensors(client, lengths, 400, "inputs[1].datatype", "INT64 for lengths")


@pytest.mark.parametrize(
    "shape", [[2, 3, 39], [2, 3, 41], [3, 2, 41], [240, 0], [1], [], [0], [2, 3, 40, 1, 2]]
)
def test_shape_against_data(client: httpx.Client, shape: list[int]) -> None:
    inputs = [changed(INPUTS, shape=shape), LENGTHS]
    refuse_tensors(client, inputs, 400, "inputs[0].shape", "[240]", str(shape))


def test_nested_data_against_a_shape_of_as_many_values(client: httpx.Client) -> None:
    data = np.zeros((2, 3, 40)).tolist()
    inputs = [changed(INPUTS, data=data, shape=[3, 2, 40])]
    refuse_tensors(client, inputs, 400, "inputs[0].shape", "[2, 3, 40]", "[3, 2, 40]")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([2, -3, -40], "negative"),
        ([10**30, 0, 40], "too large"),
        ([2**62, 2**62, 0], "too large"),
        ([0] * 100, "too large"),
    ],
)
def test_shapes_that_no_array_has(client: httpx.Client, shape: list[int], words: str) -> None:
    inputs = [changed(INPUTS, shape=shape, data=[])]
    refuse_tensors(client, inputs, 400, "inputs[0].shape", words)


@pytest.mark.parametrize("axis", [1.5, 3.0, "3", True, None, [3]])
def test_an_axis_that_is_no_integer(client: httpx.Client, axis: Any) -> None:
    inputs = [changed(INPUTS, shape=[2, axis, 40])]
    refuse_tensors(client, inputs, 400, "inputs[0].shape[1]", "Expected `int`")


@pytest.mark.parametrize("shape", [[240], [6, 40], [2, 3, 40, 1]])
def test_wrong_number_of_axes(client: httpx.Client, shape: list[int]) -> None:
    inputs = [changed(INPUTS, shape=shape)]
    refuse_tensors(client, inputs, 400, "inputs", str(shape), "(batch, time, features)")


@pytest.mark.parametrize("width", [1, 39, 41])
def test_wrong_feature_width(client: httpx.Client, width: int) -> None:
    inputs = [tensor("inputs", np.zeros((2, 3, width), dtype=np.float32))]
    refuse_tensors(client, inputs, 422, "inputs[0]", f"{width} features", "takes 40")


def test_empty_sequences_and_batches(client: httpx.Client) -> None:
    no_rows = tensor("inputs", np.zeros((0, 3, 40), dtype=np.float32))
    refuse_tensors(client, [no_rows], 422, "inputs", "empty")
    no_steps = tensor("inputs", np.zeros((2, 0, 40), dtype=np.float32))
    refuse_tensors(client, [no_steps], 422, "inputs[0]", "no steps")
    zero = changed(LENGTHS, data=[3, 0])
    refuse_tensors(client, [INPUTS, zero], 422, "inputs[1]", "no steps")


def test_length_beyond_the_limit(client: httpx.Client) -> None:
    metadata = {model["name"]: model for model in client.get("/v1/models").json()["models"]}
    limit = metadata["digits-lstm"]["limits"]["max_length"]
    too_long = np.zeros((1, limit + 1, 40), dtype=np.float32)
    words = (str(limit), str(limit + 1))
    refuse_tensors(client, [tensor("inputs", too_long)], 422, "inputs[0]", *words)
    # only the padding is beyond it
    inputs = [tensor("inputs", too_long), tensor("lengths", np.array([limit]))]
    assert client.post(infer_path(), json={"inputs": inputs}).status_code == 200


@pytest.mark.parametrize("lengths", [[3], [3, 2, 1], []])
def test_lengths_of_another_batch(client: httpx.Client, lengths: list[int]) -> None:
    inputs = [INPUTS, tensor("lengths", np.array(lengths, dtype=np.int64))]
    refuse_tensors(client, inputs, 400, "lengths", f"[{len(lengths)}]", "2 rows")


@pytest.mark.parametrize("length", [-1, 4, 2**62, -(2**63)])
def test_lengths_outside_the_time_axis(client: httpx.Client, length: int) -> None:
    inputs = [INPUTS, changed(LENGTHS, data=[3, length])]
    refuse_tensors(client, inputs, 400, "lengths", "1..3")


@pytest.mark.parametrize("length", [2**63, 2**64, 10**30, -(2**63) - 1])
def test_lengths_beyond_their_datatype(client: httpx.Client, length: int) -> None:
    inputs = [INPUTS, changed(LENGTHS, data=[3, length])]
    refuse_tensors(client, inputs, 400, "inputs[1].data", "INT64")


@pytest.mark.parametrize("length", [2.0, 1.5, "2", True, None, [2]])
def test_lengths_that_are_no_integers(client: httpx.Client, length: Any) -> None:
    inputs = [INPUTS, changed(LENGTHS, data=[3, length])]
    refuse_tensors(client, inputs, 400, "inputs[1].data[1]", "Expected `int`")


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_what_is_no_number_in_json(client: httpx.Client, text: str, nested: bool) -> None:
    field = "inputs[0].data[1][2][39]" if nested else "inputs[0].data[239]"
    refuse(client, infer_path(), with_value(text, nested), 400, field, field)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("text", ["1e39", "-1e39", "1" + "0" * 40])
def test_what_float32_can_not_hold(client: httpx.Client, text: str, nested: bool) -> None:
    body = with_value(text, nested).replace('"data": [3, 2]', '"data": [3, 3]')
    refuse(client, infer_path(), body, 422, "inputs[1][2][39]", "not a finite float32")


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("text", ['"1.5"', '"NaN"', "true", "false", "null", "{}", "[1]"])
def test_what_is_not_a_number(client: httpx.Client, text: str, nested: bool) -> None:
    field = "inputs[0].data[1][2][39]" if nested else "inputs[0].data[239]"
    refuse(client, infer_path(), with_value(text, nested), 400, field, "Expected `float`")


@pytest.mark.parametrize("data", [None, 1, "x", {}, [], [[[]]]])
def test_data_that_is_no_tensor(client: httpx.Client, data: Any) -> None:
    field = "inputs[0].shape" if isinstance(data, list) else "inputs[0].data"
    refuse_tensors(client, [changed(INPUTS, data=data)], 400, field, "inputs[0].data")


def test_ragged_rows(client: httpx.Client) -> None:
    rows = np.zeros((2, 3, 40)).tolist()
    del rows[1][2][39]
    refuse_tensors(client, [changed(INPUTS, data=rows)], 400, "inputs[0].data", "ragged")


def test_data_nested_beyond_any_tensor(client: httpx.Client) -> None:
    deep: Any = 1.0
    for _ in range(100):
        deep = [deep]
    refuse_tensors(client, [changed(INPUTS, data=deep)], 400, "inputs[0].data", "axes")


@pytest.mark.parametrize("field", ["name", "shape", "datatype", "data"])
def test_a_tensor_with_a_field_missing(client: httpx.Client, field: str) -> None:
    inputs = [LENGTHS, {key: value for key, value in INPUTS.items() if key != field}]
    refuse_tensors(client, inputs, 400, f"inputs[1].{field}", "missing")


def test_tensors_unknown_missing_and_twice(client: httpx.Client) -> None:
    inputs = [INPUTS, changed(LENGTHS, name="mask")]
    refuse_tensors(client, inputs, 400, "inputs[1].name", "'mask'", "inputs, lengths")
    refuse_tensors(client, [INPUTS, INPUTS], 400, "inputs[1].name", "each once")
    refuse_tensors(client, [LENGTHS], 400, "inputs", "no tensor 'inputs'")
    refuse_tensors(client, [], 400, "inputs", "no tensor 'inputs'")
    refuse(client, infer_path(), {"id": "1"}, 400, "inputs", "missing")


def test_huge_batch(client: httpx.Client) -> None:
    for rows, status in ((256, 200), (257, 422)):
        inputs = [tensor("inputs", np.zeros((rows, 1, 40), dtype=np.float32))]
        response = client.post(infer_path(), json={"inputs": inputs})
        assert response.status_code == status
    refuse_tensors(client, inputs, 422, "inputs", "257", "256")
    empty = changed(INPUTS, shape=[2**40, 0, 40], data=[])
    refuse_tensors(client, [empty], 422, "inputs", str(2**40), "256")


@pytest.mark.parametrize("timeout", [-1, 1.5, True, "1", 2**64, 10**400])
def test_timeout_that_is_no_microseconds(client: httpx.Client, timeout: Any) -> None:
    body = infer_body(frames(3), parameters={"timeout": timeout})
    refuse(client, infer_path(), body, 400, "parameters.timeout", "microseconds")


@pytest.mark.parametrize("value", [[1], [None], {"a": 1}])
def test_a_parameter_that_is_nested(client: httpx.Client, value: Any) -> None:
    body = infer_body(frames(3), parameters={"any": value})
    refuse(client, infer_path(), body, 400, "parameters[...]", "Expected `bool | int")


def test_unknown_output_and_wrong_id(client: httpx.Client) -> None:
    body = infer_body(frames(3), outputs=[{"name": "logits"}, {"name": "weights"}])
    refuse(client, infer_path(), body, 400, "outputs[1].name", "'weights'", "logits")
    refuse(client, infer_path(), infer_body(frames(3), id=7), 400, "id", "Expected `str")


def test_binary_tensors_are_refused_as_such(client: httpx.Client) -> None:
    octets = {"Content-Type": "application/octet-stream"}
    response = client.post(infer_path(), content=b"\0" * 480, headers=octets)
    assert response.status_code == 415
    assert "binary" in response.json()["error"]
    check_serving(client)
    refuse(client, infer_path(), b"RIFF", 400, "", "not valid JSON", headers=WAV)


def test_outputs_are_asked_for_so_often_and_no_more(client: httpx.Client) -> None:
    body = infer_body(frames(3))
    most = {**body, "outputs": [{"name": "logits"}] * 64}
    assert len(client.post(infer_path(), json=most).json()["outputs"]) == 64
    more = {**body, "outputs": [{"name": "logits"}] * 65}
    refuse(client, infer_path(), more, 400, "outputs", "65", "64 at most")
