"""Every way to get /v1 wrong: the status of the table, the culprit by name, the server goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.http.payloads import (
    JSON,
    RECORDING,
    WAV,
    frames,
    infer_body,
    infer_path,
    predict_body,
    predict_path,
    to_base64,
)
from tests.http.refusals import check_refusal, check_serving, refuse

GOOD = frames(3).tolist()


def with_value(text: str) -> str:
    """A body in which `sequences[1][2][39]` is this text."""
    body = predict_body(frames(2), frames(3))
    body["sequences"][1][2][39] = 0.123456789
    plain = str(body).replace("'", '"')
    assert plain.count("0.123456789") == 1
    return plain.replace("0.123456789", text)


@pytest.mark.parametrize("path", ["/v1/models/{}/predict", "/v2/models/{}/infer"])
@pytest.mark.parametrize("name", ["nosuch", "digits-LSTM", "digits-lstm ", "%00", "..%2e", "é"])
def test_unknown_model(client: httpx.Client, path: str, name: str) -> None:
    refuse(client, path.format(name), predict_body(frames(3)), 404, "name", "there is no model")


@pytest.mark.parametrize("version", ["2", "0", "01", "latest"])
def test_unknown_version(client: httpx.Client, version: str) -> None:
    base = f"/v2/models/digits-lstm/versions/{version}"
    refuse(client, f"{base}/infer", {}, 404, "version", repr(version), "it serves 1")
    for path in (base, f"{base}/ready"):
        check_refusal(client.get(path), 404, "version", repr(version))


@pytest.mark.parametrize("width", [0, 1, 39, 41, 80])
def test_wrong_feature_width(client: httpx.Client, width: int) -> None:
    body = {"sequences": [GOOD, [[0.0] * width] * 4]}
    refuse(client, predict_path(), body, 422, "sequences[1]", f"{width} features", "takes 40")


def test_empty_sequence(client: httpx.Client) -> None:
    refuse(client, predict_path(), {"sequences": [GOOD, []]}, 422, "sequences[1]", "no steps")
    refuse(client, predict_path(), {"sequences": []}, 422, "sequences", "empty")
    refuse(client, predict_path(), {"audio": []}, 422, "audio", "empty")


def test_length_up_to_the_limit_and_beyond(client: httpx.Client) -> None:
    (limits,) = {
        model["limits"]["max_length"]
        for model in client.get("/v1/models").json()["models"]
        if model["name"] == "digits-lstm"
    }
    longest = client.post(predict_path(), json=predict_body(frames(limits)))
    assert longest.status_code == 200
    body = predict_body(frames(2), frames(limits + 1))
    refuse(client, predict_path(), body, 422, "sequences[1]", str(limits), str(limits + 1))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_what_is_no_number_in_json(client: httpx.Client, text: str) -> None:
    field = "sequences[1][2][39]"
    refuse(client, predict_path(), with_value(text), 400, field, field)


@pytest.mark.parametrize("text", ["1e39", "-1e39", "3.5e38", "1" + "0" * 40])
def test_what_float32_can_not_hold(client: httpx.Client, text: str) -> None:
    field = "sequences[1][2][39]"
    refuse(client, predict_path(), with_value(text), 422, field, field, "not a finite float32")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('"1.5"', "str"), ('"NaN"', "str"), ("true", "bool"), ("false", "bool"),
        ("null", "null"), ("{}", "object"), ("[1]", "array"),
    ],
)  # fmt: skip
def test_what_is_not_a_number(client: httpx.Client, text: str, kind: str) -> None:
    field = "sequences[1][2][39]"
    refuse(client, predict_path(), with_value(text), 400, field, field, f"got `{kind}`")


def test_ragged_rows(client: httpx.Client) -> None:
    body = {"sequences": [GOOD, [[0.0] * 40, [0.0] * 40, [0.0] * 39]]}
    refuse(client, predict_path(), body, 422, "sequences[1][2]", "39", "40")


@pytest.mark.parametrize(
    ("sequences", "field"),
    [
        (1, "sequences"),
        ("x", "sequences"),
        ([1], "sequences[0]"),
        ([GOOD, [1]], "sequences[1][0]"),
        ([[GOOD]], "sequences[0][0][0]"),
    ],
)
def test_wrong_nesting(client: httpx.Client, sequences: Any, field: str) -> None:
    refuse(client, predict_path(), {"sequences": sequences}, 400, field, "Expected", field)


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"sequences": [[[1', b"\xff\xfe\x00", b"[" * 50_000, b"a=b"]
)
@pytest.mark.parametrize("path", ["/v1/models/digits-lstm/predict", "/v2/models/digits-lstm/infer"])
def test_invalid_json(client: httpx.Client, path: str, body: bytes) -> None:
    check_refusal(client.post(path, content=body, headers=JSON), 400, "")
    check_serving(client)


@pytest.mark.parametrize("path", ["/v1/models/digits-lstm/predict", "/v2/models/digits-lstm/infer"])
@pytest.mark.parametrize("body", ["null", "[]", "1", '"text"', "true"])
def test_json_that_is_no_object(client: httpx.Client, path: str, body: str) -> None:
    refuse(client, path, body, 400, "", "Expected `object`")


def test_two_documents_in_one_body(client: httpx.Client) -> None:
    refuse(client, predict_path(), '{"top_k": 1} {"top_k": 2}', 400, "", "trailing characters")


def test_a_literal_in_an_unknown_place_is_named_without_harm(client: httpx.Client) -> None:
    refuse(client, predict_path(), "NaN", 400, "", "the body is NaN")
    # half a surrogate pair: valid for Python's json, but nothing that UTF-8 could carry back
    refuse(client, predict_path(), '{"\\ud800": NaN}', 400, "\\ud800", "\\ud800")


def test_unknown_fields(client: httpx.Client) -> None:
    body = {**predict_body(frames(3)), "topk": 3}
    refuse(client, predict_path(), body, 400, "topk", "unknown field `topk`")
    refuse(client, predict_path() + "?topk=3", RECORDING, 400, "topk", "unknown field", headers=WAV)


def test_both_or_neither_of_sequences_and_audio(client: httpx.Client) -> None:
    both = {**predict_body(frames(3)), "audio": to_base64(RECORDING)}
    refuse(client, predict_path(), both, 400, "sequences", "either sequences or audio")
    refuse(client, predict_path(), {"top_k": 1}, 400, "sequences", "either sequences or audio")
    query = "?audio=" + to_base64(b"abc")
    refuse(client, predict_path() + query, RECORDING, 400, "audio", headers=WAV)


@pytest.mark.parametrize("top_k", [0, -1, 1_001, 10**30, True, "3", 2.5])
def test_top_k_out_of_range(client: httpx.Client, top_k: Any) -> None:
    body = predict_body(frames(3), top_k=top_k)
    refuse(client, predict_path(), body, 400, "top_k", "top_k")
    if top_k is not True and not isinstance(top_k, str):
        query = f"?top_k={top_k}"
        refuse(client, predict_path() + query, RECORDING, 400, "top_k", "top_k", headers=WAV)


@pytest.mark.parametrize("explain", [1, "yes"])
def test_explain_that_is_no_boolean(client: httpx.Client, explain: Any) -> None:
    body = predict_body(frames(3), explain=explain)
    refuse(client, predict_path(), body, 400, "explain", "explain")


@pytest.mark.parametrize("timeout_s", [0, -1, -1e308, True, "1", [1]])
def test_timeout_out_of_range(client: httpx.Client, timeout_s: Any) -> None:
    body = predict_body(frames(3), timeout_s=timeout_s)
    refuse(client, predict_path(), body, 400, "timeout_s", "timeout_s")


@pytest.mark.parametrize("timeout_s", ["0", "nan", "-inf", "soon"])
def test_timeout_out_of_range_in_the_query(client: httpx.Client, timeout_s: str) -> None:
    path = predict_path() + f"?timeout_s={timeout_s}"
    refuse(client, path, RECORDING, 400, "timeout_s", "timeout_s", headers=WAV)


def test_huge_batch(client: httpx.Client) -> None:
    sequence = [[0.0] * 40]
    most = client.post(predict_path(), json={"sequences": [sequence] * 256})
    assert len(most.json()["predictions"]) == 256
    for field, item in (("sequences", sequence), ("audio", to_base64(RECORDING))):
        refuse(client, predict_path(), {field: [item] * 257}, 422, field, "257", "256")


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "video/mp4", "json"])
def test_wrong_content_type(client: httpx.Client, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    words = content_type or "(none)"
    refuse(client, predict_path(), b"{}", 415, "Content-Type", words, headers=headers)


def test_content_type_with_parameters_in_any_case(client: httpx.Client) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    body = predict_body(frames(3))
    response = client.post(predict_path(), json=body, headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/v1/models/digits-lstm/predict", "/v2/models/digits-lstm/infer"])
def test_body_too_large(client: httpx.Client, path: str) -> None:
    limit = 16 << 20
    body = b" " * (limit + 1)
    refuse(client, path, body, 413, "", str(limit + 1), str(limit))

    def chunks() -> Iterator[bytes]:
        for _ in range(17):
            yield b" " * (1 << 20)

    response = client.post(path, content=chunks(), headers=JSON)
    check_refusal(response, 413, "", str(limit))
    check_serving(client)


@pytest.mark.parametrize("priority", [-1, 1.5, True, "1"])
def test_a_priority_that_is_no_unsigned_integer(client: httpx.Client, priority: Any) -> None:
    body = predict_body(frames(3), priority=priority)
    refuse(client, predict_path(), body, 400, "priority", "priority")
    if priority is not None:  # no value of a parameter
        tensors = infer_body(frames(3), parameters={"priority": priority})
        refuse(client, infer_path(), tensors, 400, "parameters.priority", "priority")


@pytest.mark.parametrize("priority", [0, 1, 2, 3, 4, 2**63])
def test_any_unsigned_integer_is_a_priority(client: httpx.Client, priority: int) -> None:
    body = predict_body(frames(3), priority=priority)
    assert client.post(predict_path(), json=body).status_code == 200
    tensors = infer_body(frames(3), parameters={"priority": priority})
    assert client.post(infer_path(), json=tensors).status_code == 200
