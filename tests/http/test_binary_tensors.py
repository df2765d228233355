"""Binary tensors, requests and answers: the same answers as in JSON, and every slip refused."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.http.payloads import Frames, frames, infer_body, infer_path, rows_of
from tests.http.refusals import check_refusal, check_serving

LENGTH = "Inference-Header-Content-Length"
TYPES = {"float32": "FP32", "int64": "INT64"}


def described(name: str, array: NDArray[Any], **parameters: Any) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(array.shape),
        "datatype": TYPES[array.dtype.name],
        "parameters": {"binary_data_size": array.nbytes, **parameters},
    }


def post(
    client: httpx.Client,
    document: dict[str, Any],
    blobs: bytes,
    model: str = "digits-lstm",
    spaces: int = 0,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    head = json.dumps(document).encode() + b" " * spaces
    return client.post(
        infer_path(model), content=head + blobs, headers={LENGTH: str(len(head)), **(headers or {})}
    )


def outputs_of(response: httpx.Response) -> dict[str, Frames]:
    """Every tensor of an answer, by name, from wherever it is."""
    assert response.status_code == 200, response.text
    size = int(response.headers.get(LENGTH, len(response.content)))
    document, rest = json.loads(response.content[:size]), response.content[size:]
    found = {}
    for output in document["outputs"]:
        if "data" in output:
            found[output["name"]] = rows_of(output)
            continue
        length = output["parameters"]["binary_data_size"]
        values = np.frombuffer(rest[:length], dtype="<f4")
        found[output["name"]] = values.reshape(output["shape"])
        rest = rest[length:]
    assert not rest
    return found


INPUTS = np.stack([frames(3), frames(3, 1)])
LENGTHS = np.array([3, 2])
TENSORS = [described("inputs", INPUTS), described("lengths", LENGTHS)]
BLOBS = INPUTS.tobytes() + LENGTHS.tobytes()


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
    st.integers(0, 7),
    st.sampled_from([None, True, False]),
    st.lists(st.sampled_from([None, True, False]), min_size=2, max_size=2),
)
def test_any_mix_of_json_and_binary_answers_alike(
    client: httpx.Client,
    lengths: list[int],
    lengths_first: bool,
    lengths_in_json: bool,
    spaces: int,
    all_binary: bool | None,
    each_binary: list[bool | None],
) -> None:
    sequences = [frames(length) for length in lengths]
    plain = infer_body(*sequences, padding=1e30)
    inputs = rows_of(plain["inputs"][0])
    tensors = [described("inputs", inputs), plain["inputs"][1]]
    blobs = [inputs.tobytes(), b""]
    if not lengths_in_json:
        tensors[1] = described("lengths", np.array(lengths))
        blobs[1] = np.array(lengths).tobytes()
    order = [1, 0] if lengths_first else [0, 1]
    document: dict[str, Any] = {"id": "7", "inputs": [tensors[index] for index in order]}
    if all_binary is not None:
        document["parameters"] = {"binary_data_output": all_binary}
    document["outputs"] = [
        {"name": name, "parameters": {} if wanted is None else {"binary_data": wanted}}
        for name, wanted in zip(("weights", "logits"), each_binary, strict=True)
    ]
    model = "digits-attention"
    response = post(client, document, b"".join(blobs[i] for i in order), model, spaces)
    got = outputs_of(response)
    expected = outputs_of(client.post(infer_path(model), json=plain))
    assert list(got) == ["weights", "logits"]
    for name, rows in expected.items():
        np.testing.assert_allclose(got[name], rows, rtol=0, atol=1e-5)
    are_binary = [bool(all_binary) if wanted is None else wanted for wanted in each_binary]
    kind = "application/octet-stream" if any(are_binary) else "application/json"
    assert response.headers["content-type"] == kind
    assert (LENGTH in response.headers) == any(are_binary)


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/json", ""])
def test_the_content_type_does_not_matter_with_the_header(client: httpx.Client, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    assert post(client, {"inputs": TENSORS}, BLOBS, headers=headers).status_code == 200


def test_a_json_request_may_want_its_answer_in_bytes(client: httpx.Client) -> None:
    body = infer_body(frames(3), parameters={"binary_data_output": True})
    response = client.post(infer_path(), json=body)
    assert response.headers["content-type"] == "application/octet-stream"
    assert outputs_of(response)["logits"].shape == (1, 10)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "+5", "9" * 30, "99999"])
def test_a_header_that_is_no_length_of_the_body(client: httpx.Client, length: str) -> None:
    body = json.dumps({"inputs": TENSORS}).encode() + BLOBS
    response = client.post(infer_path(), content=body, headers={LENGTH: length})
    check_refusal(response, 400, LENGTH, LENGTH)
    check_serving(client)


def test_raw_bytes_that_are_no_whole_steps_are_refused_as_such(client: httpx.Client) -> None:
    response = client.post(infer_path(), content=BLOBS, headers={LENGTH: "0"})
    check_refusal(response, 400, LENGTH, "raw")


def test_a_header_that_cuts_the_json(client: httpx.Client) -> None:
    body = json.dumps({"inputs": TENSORS}).encode()
    response = client.post(infer_path(), content=body, headers={LENGTH: str(len(body) - 1)})
    check_refusal(response, 400, "", "not valid JSON")


@pytest.mark.parametrize(
    ("blobs", "field", "words"),
    [
        (BLOBS + b"\0", "inputs", "1 bytes are left"),
        (BLOBS[:-1], "inputs[1].parameters.binary_data_size", "15 bytes are left"),
        (b"", "inputs[0].parameters.binary_data_size", "0 bytes are left"),
    ],
)
def test_blobs_too_long_or_short(
    client: httpx.Client, blobs: bytes, field: str, words: str
) -> None:
    check_refusal(post(client, {"inputs": TENSORS}, blobs), 400, field, words)
    check_serving(client)


@pytest.mark.parametrize("size", [0, 959, 961, -960, 960.0, True, "960", 2**70])
def test_a_size_against_the_shape(client: httpx.Client, size: Any) -> None:
    tensor = described("inputs", INPUTS, binary_data_size=size)
    tensor["parameters"]["binary_data_size"] = size
    field = "inputs[0].parameters.binary_data_size"
    document = {"inputs": [tensor, TENSORS[1]]}
    response = post(client, document, BLOBS)
    assert response.status_code == 400
    if not isinstance(size, int) or size < 2**64:
        check_refusal(response, 400, field, field)


@pytest.mark.parametrize(
    ("shape", "words"),
    [([2, -3, -40], "negative"), ([10**30, 0, 40], "too large"), ([2**62, 2**62, 0], "too large")],
)
def test_shapes_that_no_array_has(client: httpx.Client, shape: list[int], words: str) -> None:
    tensor = {**TENSORS[0], "shape": shape, "parameters": {"binary_data_size": 0}}
    response = post(client, {"inputs": [tensor]}, b"")
    check_refusal(response, 400, "inputs[0].shape", words)


def test_more_axes_than_an_array_has(client: httpx.Client) -> None:
    tensor = {**TENSORS[0], "shape": [1] * 70, "parameters": {"binary_data_size": 4}}
    response = post(client, {"inputs": [tensor]}, bytes(4))
    check_refusal(response, 400, "inputs[0].shape", "too large")


def test_data_in_both_forms_or_in_neither(client: httpx.Client) -> None:
    both = {**TENSORS[0], "data": INPUTS.ravel().tolist()}
    response = post(client, {"inputs": [both, TENSORS[1]]}, BLOBS)
    check_refusal(response, 400, "inputs[0].data", "both")
    neither = {**TENSORS[0], "parameters": {}}
    response = post(client, {"inputs": [neither, TENSORS[1]]}, BLOBS)
    check_refusal(response, 400, "inputs[0].data", "missing")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(client: httpx.Client, value: float) -> None:
    inputs = INPUTS.copy()
    inputs[0, 1, 7] = value
    blobs = inputs.tobytes() + LENGTHS.tobytes()
    response = post(client, {"inputs": TENSORS}, blobs)
    check_refusal(response, 422, "inputs[0][1][7]", "not a finite")
    inputs = INPUTS.copy()
    inputs[1, 2] = value  # in the padding
    blobs = inputs.tobytes() + LENGTHS.tobytes()
    assert post(client, {"inputs": TENSORS}, blobs).status_code == 200


@pytest.mark.parametrize("wanted", [1, "yes", 0.0])
def test_a_wish_for_bytes_that_is_no_boolean(client: httpx.Client, wanted: Any) -> None:
    body = infer_body(frames(3), parameters={"binary_data_output": wanted})
    response = client.post(infer_path(), json=body)
    check_refusal(response, 400, "parameters.binary_data_output", "true or false")
    outputs = [{"name": "logits", "parameters": {"binary_data": wanted}}]
    response = client.post(infer_path(), json=infer_body(frames(3), outputs=outputs))
    check_refusal(response, 400, "outputs[0].parameters.binary_data", "true or false")


def test_a_coding_that_is_not_read_is_refused_as_such(client: httpx.Client) -> None:
    for path in (infer_path(), "/v1/models/digits-lstm/predict"):
        headers = {"Content-Encoding": "br", "Content-Type": "application/json"}
        response = client.post(path, content=b"\x1f\x8b", headers=headers)
        check_refusal(response, 415, "Content-Encoding", "br", "gzip")
        check_serving(client)
