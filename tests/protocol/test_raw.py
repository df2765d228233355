"""Raw requests: the body is the one tensor, the header's 0 says so, and all answers are binary."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from tests.http.payloads import frames, infer_body
from tests.http.refusals import check_refusal
from tests.protocol.asking import LENGTH, NUMBERS, outputs_of
from tests.protocol.made import EXPLAINING, identity_of


def post_raw(client: httpx.Client, model: str, body: bytes) -> httpx.Response:
    return client.post(f"/v2/models/{model}/infer", content=body, headers={LENGTH: "0"})


@pytest.mark.parametrize("datatype", NUMBERS)
def test_the_size_settles_the_one_variable_axis(client: httpx.Client, datatype: str) -> None:
    values = np.array([1, 0, 1], NUMBERS[datatype])
    response = post_raw(client, identity_of(datatype, 1), values.tobytes())
    assert response.headers["content-type"] == "application/octet-stream"
    assert LENGTH in response.headers
    found = outputs_of(response)["y"]
    assert found.tobytes() == values.tobytes()
    assert found.shape == (3,)


def test_a_first_axis_of_any_size_is_a_batch_of_one(client: httpx.Client) -> None:
    values = np.arange(5, dtype=np.float32)
    assert outputs_of(post_raw(client, "fp32-2", values.tobytes()))["y"].shape == (1, 5)


def test_a_sequence_needs_no_description(client: httpx.Client) -> None:
    sequence = frames(7)
    raw = outputs_of(post_raw(client, EXPLAINING, sequence.tobytes()))
    path = f"/v2/models/{EXPLAINING}/infer"
    described = outputs_of(client.post(path, json=infer_body(sequence)))
    assert raw.keys() == described.keys() == {"logits", "weights"}
    for name, values in described.items():
        np.testing.assert_allclose(raw[name], values, rtol=0, atol=1e-5)


def test_the_same_size_again_and_another_are_each_what_they_are(client: httpx.Client) -> None:
    for length in (3, 3, 3, 4, 3):
        found = outputs_of(post_raw(client, EXPLAINING, frames(length).tobytes()))
        assert found["weights"].shape == (1, length)


def test_a_string_is_the_whole_body(client: httpx.Client) -> None:
    for text in ("a ü\0 b", "x" * 300):
        found = outputs_of(post_raw(client, "bytes-1", text.encode()))["y"]
        assert found.tolist() == [text]
    check_refusal(post_raw(client, "bytes-1", b"\xff"), 400, "x", "UTF-8")


@pytest.mark.parametrize(
    ("model", "num_bytes", "words"),
    [
        ("sum", 12, "takes a, b"),
        ("fixed", 20, "20 raw bytes are no FP32 of shape [2, 3]"),
        ("rows", 13, "13 raw bytes"),
        ("fp32-0", 8, "8 raw bytes"),
        (EXPLAINING, 161, "161 raw bytes"),
    ],
)
def test_what_can_not_be_told_is_refused(
    client: httpx.Client, model: str, num_bytes: int, words: str
) -> None:
    check_refusal(post_raw(client, model, bytes(num_bytes)), 400, LENGTH, words)


def test_nothing_is_no_raw_request(client: httpx.Client) -> None:
    assert post_raw(client, "rows", b"").status_code == 400
