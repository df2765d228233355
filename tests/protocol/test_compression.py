"""Compressed bodies, both ways: the same answers, and no bomb costs more than it may."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.codec.compression import CODINGS, WORTH_BYTES, accepted_coding, compress, decompress
from service.errors import InvalidRequestError, PayloadTooLargeError
from tests.http.payloads import frames
from tests.http.refusals import check_refusal
from tests.protocol.asking import LENGTH, described, infer, outputs_of
from tests.protocol.conftest import MAX_BODY_BYTES
from tests.protocol.made import EXPLAINING
from tests.servers import Server

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def post(client: httpx.Client, body: bytes, coding: str) -> httpx.Response:
    headers = {"Content-Encoding": coding}
    return client.post("/v2/models/rows/infer", content=body, headers=headers)


@pytest.mark.parametrize("coding", COMPRESS)
@pytest.mark.parametrize("binary", [True, False])
def test_a_compressed_request_is_answered_as_a_plain_one(
    client: httpx.Client, coding: str, binary: bool
) -> None:
    tensor, blob = described("x", VALUES, "FP32", binary=binary)
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Content-Encoding": coding} | ({LENGTH: str(len(head))} if binary else {})
    for _ in range(3):  # what is known by heart is not mistaken for it
        response = client.post(
            "/v2/models/rows/infer", content=COMPRESS[coding](head + blob), headers=headers
        )
        assert outputs_of(response)["y"].tolist() == (-VALUES).tolist()


def test_a_task_may_be_compressed_too(client: httpx.Client) -> None:
    body = json.dumps({"sequences": [[[0.0] * 40] * 3]}).encode()
    headers = {"Content-Type": "application/json"}
    path = "/v1/models/digits-lstm/predict"
    plain = client.post(path, content=body, headers=headers).json()
    headers["Content-Encoding"] = "gzip"
    assert client.post(path, content=gzip.compress(body), headers=headers).json() == plain


def test_no_coding_is_one(client: httpx.Client) -> None:
    tensor, _ = described("x", VALUES, "FP32", binary=False)
    response = infer(client, "rows", {"inputs": [tensor]}, headers={"Content-Encoding": "Identity"})
    assert response.status_code == 200


def bare(body: bytes) -> bytes:
    """Deflate without zlib's header, as some clients send it."""
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


def in_members(body: bytes, size: int = 20) -> bytes:
    """One member of gzip after the other, as `cat` and `bgzip` put them."""
    return b"".join(gzip.compress(body[at : at + size]) for at in range(0, len(body), size))


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", in_members),
        ("gzip", lambda body: gzip.compress(body) + gzip.compress(b"")),
        ("x-gzip", gzip.compress),
        ("X-GZIP, identity", in_members),
        ("identity, gzip", gzip.compress),
        ("gzip,", gzip.compress),
        ("deflate", bare),
        ("identity, deflate", zlib.compress),
    ],
)
def test_every_form_that_clients_send_is_read(
    client: httpx.Client, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    tensor, _ = described("x", VALUES, "FP32", binary=False)
    response = post(client, compress(json.dumps({"inputs": [tensor]}).encode()), coding)
    assert outputs_of(response)["y"].tolist() == (-VALUES).tolist()


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "deflate, gzip", "gzip, br", "zstd"])
def test_other_codings_and_two_at_a_time_are_not(client: httpx.Client, coding: str) -> None:
    check_refusal(post(client, b"{}", coding), 415, "Content-Encoding", coding)


@given(st.lists(st.binary(max_size=200_000), min_size=1, max_size=8))
def test_members_are_one_text(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    assert decompress(b"".join(map(gzip.compress, parts)), "gzip", len(whole)) == whole
    if whole:
        with pytest.raises(PayloadTooLargeError):
            decompress(b"".join(map(gzip.compress, parts)), "gzip", len(whole) - 1)


@given(st.binary(max_size=2_000))
def test_deflate_is_read_with_its_header_and_without(body: bytes) -> None:
    assert decompress(bare(body), "deflate", 2_000) == body
    assert decompress(zlib.compress(body), "deflate", 2_000) == body


@pytest.mark.parametrize("spoil", [lambda body: body[:-1], lambda body: body + b"more"])
def test_of_several_members_too_the_last_must_be_whole(client: httpx.Client, spoil: Any) -> None:
    check_refusal(post(client, spoil(in_members(bytes(100))), "gzip"), 400, "Content-Encoding")


def test_members_without_end_take_no_time() -> None:
    empty = gzip.compress(b"") * (16 * 2**20 // 20)
    started_s = time.process_time()
    with pytest.raises(InvalidRequestError, match="more follows"):
        decompress(empty, "gzip", 1 << 20)
    assert time.process_time() - started_s < 0.5


@pytest.mark.parametrize("coding", COMPRESS)
def test_a_bomb_is_refused_without_its_memory(server: Server, coding: str) -> None:
    bomb = COMPRESS[coding](bytes(512 << 20))
    assert len(bomb) < MAX_BODY_BYTES
    response = post(server.client, bomb, coding)
    check_refusal(response, 413, "", f"{MAX_BODY_BYTES}", "decompressed")
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    peak_kb = int(status.partition("VmHWM:")[2].split()[0])
    assert peak_kb << 10 < 400 << 20, "as large as what it unpacks to"


@pytest.mark.parametrize("coding", COMPRESS)
def test_the_limit_is_on_what_it_unpacks_to(coding: str) -> None:
    body = bytes(1_000)
    assert decompress(COMPRESS[coding](body), coding, 1_000) == body


@pytest.mark.parametrize("coding", COMPRESS)
@pytest.mark.parametrize(
    "spoil", [lambda body: body[:-1], lambda body: body + b"\0", lambda _: b""]
)
def test_what_is_no_whole_stream_is_refused(client: httpx.Client, coding: str, spoil: Any) -> None:
    response = post(client, spoil(COMPRESS[coding](b"{}")), coding)
    check_refusal(response, 400, "Content-Encoding", coding)


@given(st.sampled_from(sorted(CODINGS)), st.binary(max_size=200))
def test_no_bytes_raise_anything_else(coding: str, body: bytes) -> None:
    assert decompress(compress(body, coding), coding, len(body)) == body
    with suppress(InvalidRequestError):
        decompress(body, coding, 1_000)


@pytest.mark.parametrize(
    "accept", ["gzip", "deflate", "gzip;q=0.5, deflate;q=0.9", "*", "br, GZIP"]
)
@pytest.mark.parametrize("binary", [True, False])
def test_a_long_answer_is_compressed_for_who_likes_it(
    client: httpx.Client, accept: str, binary: bool
) -> None:
    values = np.zeros((2_000, 3), np.float32)
    tensor, blob = described("x", values, "FP32", binary=True)
    document = {"inputs": [tensor], "parameters": {"binary_data_output": binary}}
    response = infer(client, "rows", document, blob, {"Accept-Encoding": accept})
    wanted = "deflate" if "deflate" in accept else "gzip"
    assert response.headers["content-encoding"] == wanted
    assert response.headers["vary"] == "accept-encoding"
    assert int(response.headers["content-length"]) < WORTH_BYTES
    assert outputs_of(response)["y"].shape == (2_000, 3)  # httpx unpacks it


@pytest.mark.parametrize("accept", ["identity", "br", "gzip;q=0", "gzip;q=0.1, identity;q=0.5", ""])
def test_a_long_answer_goes_as_it_is_to_who_does_not(client: httpx.Client, accept: str) -> None:
    tensor, blob = described("x", np.zeros((2_000, 3), np.float32), "FP32", binary=True)
    response = infer(client, "rows", {"inputs": [tensor]}, blob, {"Accept-Encoding": accept})
    assert "content-encoding" not in response.headers


def test_a_long_answer_is_compressed_however_often_it_is_asked_for(client: httpx.Client) -> None:
    sequences = np.stack([frames(250, seed) for seed in range(8)])
    tensor, blob = described("inputs", sequences, "FP32", binary=True)
    for _ in range(5):
        headers = {"Accept-Encoding": "gzip"}
        response = infer(client, EXPLAINING, {"inputs": [tensor]}, blob, headers)
        assert response.headers["content-encoding"] == "gzip"
        assert outputs_of(response)["weights"].shape == (8, 250)


def test_a_short_answer_is_not_worth_it(client: httpx.Client) -> None:
    tensor, _ = described("x", VALUES, "FP32", binary=False)
    response = infer(client, "rows", {"inputs": [tensor]}, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in response.headers


def test_what_would_not_get_smaller_goes_as_it_is(client: httpx.Client) -> None:
    noise = np.random.default_rng(1).integers(0, 2**63, 4_000)
    tensor, blob = described("x", noise, "INT64", binary=True)
    document = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    response = infer(client, "int64-1", document, blob, {"Accept-Encoding": "gzip"})
    assert response.status_code == 200
    assert int(response.headers["content-length"]) <= 8 * 4_000 + 200


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("deflate, gzip", "gzip"),
        ("gzip;q=0.2,deflate;q=0.3", "deflate"),
        ("gzip;q=0, *", "deflate"),
        ("*;q=0", None),
        ("gzip; q=1.0", "gzip"),
        ("gzip;q=much", None),
        ("identity, gzip;q=0.9", None),
        (",,;", None),
    ],
)
def test_the_coding_that_is_liked_best(header: str, coding: str | None) -> None:
    assert accepted_coding(header) == coding


@given(st.text(max_size=40))
def test_no_header_is_too_odd(header: str) -> None:
    assert accepted_coding(header) in {None, *CODINGS}
