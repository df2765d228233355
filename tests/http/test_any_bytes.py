"""Whatever is posted, the answer is a JSON object, an error says so, and none is the server's."""

from __future__ import annotations

import json
import string
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.payloads import JSON, RECORDING, WAV, frames, infer_path, predict_path, tensor
from tests.http.refusals import check_serving
from tests.servers import Server

PATHS = [predict_path(), infer_path(), infer_path("digits-attention"), "/v2/repository/index"]

numbers = st.one_of(
    st.integers(),
    st.floats(),  # NaN and Infinity as Python writes them
    st.sampled_from([2**31, 2**63, 2**64, -(2**63), 10**400, 1e39, True]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=5))
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)

# documents that come nearer: the right fields with anything in them
frame = st.lists(numbers, min_size=40, max_size=40)
sequences = st.lists(st.lists(frame, max_size=2), max_size=3)
options = {
    "top_k": st.one_of(st.integers(1, 10), documents),
    "explain": st.one_of(st.booleans(), documents),
    "timeout_s": st.one_of(st.floats(0.1, 20), documents),
}
predicts = st.one_of(
    st.fixed_dictionaries({}, optional={"sequences": st.one_of(sequences, documents), **options}),
    st.fixed_dictionaries({"audio": st.one_of(st.text(), documents)}, optional=options),
)
shapes = st.lists(st.one_of(st.integers(-1, 3), st.integers(), st.just(40)), max_size=5)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["inputs", "lengths", "weights"]),
        "shape": st.one_of(shapes, st.just([1, 1, 40]), st.just([1]), documents),
        "datatype": st.sampled_from(["FP32", "INT64", "BOOL", "BYTES", ""]),
        "data": st.one_of(frame, st.lists(numbers, max_size=2), documents),
    }
)
infers = st.fixed_dictionaries(
    {"inputs": st.one_of(st.lists(tensors, max_size=3), documents)},
    optional={
        "id": st.one_of(st.text(), documents),
        "outputs": st.one_of(documents, st.just([{"name": "logits"}])),
        "parameters": st.one_of(
            documents, st.fixed_dictionaries({"timeout": st.one_of(numbers, documents)})
        ),
    },
)


def check_answer(response: httpx.Response) -> None:
    assert response.status_code < 500, response.text
    document: Any = response.json()
    if response.status_code == 200:
        assert "error" not in document
    else:
        assert isinstance(document, dict)
        assert document["error"]


@pytest.mark.parametrize("path", PATHS)
def test_any_json(client: httpx.Client, path: str) -> None:
    @settings(deadline=None, max_examples=80)
    @given(st.one_of(documents, predicts, infers))
    def hold(document: Any) -> None:
        check_answer(client.post(path, content=json.dumps(document), headers=JSON))

    hold()
    check_serving(client)


@settings(deadline=None, max_examples=150)
@given(predicts)
def test_any_values_in_the_fields_of_v1(client: httpx.Client, document: Any) -> None:
    check_answer(client.post(predict_path(), content=json.dumps(document), headers=JSON))


@settings(deadline=None, max_examples=150)
@given(infers)
def test_any_values_in_the_fields_of_v2(client: httpx.Client, document: Any) -> None:
    check_answer(client.post(infer_path(), content=json.dumps(document), headers=JSON))


@pytest.mark.parametrize("path", PATHS)
def test_any_bytes_as_json(client: httpx.Client, path: str) -> None:
    body = json.dumps({"inputs": [tensor("inputs", frames(1)[None])]}).encode()

    @settings(deadline=None, max_examples=60)
    @given(st.binary(max_size=200), st.integers(0, len(body)), st.integers(0, 40))
    def hold(piece: bytes, place: int, cut: int) -> None:
        for content in (piece, body[:place] + piece + body[place + cut :]):
            check_answer(client.post(path, content=content, headers=JSON))

    hold()
    check_serving(client)


@settings(deadline=None, max_examples=200)
@given(
    st.binary(max_size=64),
    st.integers(0, 60),  # the header is where a parser goes wrong
    st.integers(0, 64),
    st.integers(0, 2_000),
    st.sampled_from([b"RIFF", b"RF64", b"fLaC", b"OggS"]),
)
def test_any_bytes_as_a_recording(
    client: httpx.Client, piece: bytes, place: int, cut: int, end: int, magic: bytes
) -> None:
    damaged = RECORDING[:place] + piece + RECORDING[place + cut :]
    for content in (piece, damaged, damaged[:end], magic + damaged[4:], magic + piece):
        check_answer(client.post(predict_path(), content=content, headers=WAV))


@settings(deadline=None, max_examples=100)
@given(st.text(string.printable + "é\x00/%?#", min_size=1, max_size=30), st.booleans())
def test_any_name_in_the_path(client: httpx.Client, name: str, is_version: bool) -> None:
    quoted = quote(name, safe="/")
    path = f"/v2/models/digits-lstm/versions/{quoted}" if is_version else f"/v2/models/{quoted}"
    for verb in ("", "/infer", "/ready"):
        response = client.request("POST" if verb == "/infer" else "GET", path + verb)
        assert response.status_code < 500
        assert response.status_code == 200 or response.json()["error"]


def test_none_of_it_is_logged_as_a_failure(client: httpx.Client, server: Server) -> None:
    check_serving(client)
    assert "request failed" not in server.log
