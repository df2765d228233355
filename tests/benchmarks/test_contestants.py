"""The comparison's contestants: what is asked is what was meant, and what ends is gone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from benchmarks.contestants.contestant import contestants
from benchmarks.contestants.ending import stop

NUM_FEATURES = 3
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
SEQUENCES = st.lists(
    st.integers(1, 5).flatmap(lambda n: arrays(np.float32, (n, NUM_FEATURES), elements=FINITE)),
    min_size=1,
    max_size=4,
)
ALL = {contestant.name: contestant for contestant in contestants()}


def carried(request: bytes) -> list[NDArray[np.float32]]:
    """The sequences that a request carries, whatever its wire."""
    head, _, body = request.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert int(fields["Content-Length"]) == len(body)
    if fields["Content-Type"] == "application/msgpack":
        content = msgspec.msgpack.decode(body)
        steps = np.frombuffer(content["data"], np.float32).reshape(-1, NUM_FEATURES)
        return np.split(steps, np.cumsum(content["lengths"])[:-1])
    head_bytes = int(fields.get("Inference-Header-Content-Length", len(body)))
    content = json.loads(body[:head_bytes])
    if "inputs" not in content:
        (sequences,) = (values for name, values in content.items() if name != "model")
        return [np.array(sequence, dtype=np.float32) for sequence in sequences]
    return unpadded(content["inputs"], body[head_bytes:])


def unpadded(tensors: list[dict[str, Any]], raw: bytes) -> list[NDArray[np.float32]]:
    """The rows of Open Inference tensors, cut to their lengths."""
    found: dict[str, NDArray[Any]] = {}
    for tensor in tensors:
        dtype = {"FP32": np.float32, "INT64": np.int64}[tensor["datatype"]]
        if "data" in tensor:
            flat = np.array(tensor["data"], dtype=dtype)
        else:
            num_bytes = tensor["parameters"]["binary_data_size"]
            flat, raw = np.frombuffer(raw[:num_bytes], dtype), raw[num_bytes:]
        found[tensor["name"]] = flat.reshape(tensor["shape"])
    assert not raw
    inputs = found["inputs"]
    lengths = found.get("lengths", np.full(len(inputs), inputs.shape[1])).ravel()
    return [row[:length] for row, length in zip(inputs, lengths, strict=True)]


@pytest.mark.parametrize(
    "name",
    [
        "seqserve",
        "seqserve-int8-binary",
        "triton-json",
        "triton-binary",
        "kserve",
        "litserve",
        "mosec-msgpack",
    ],
)
@given(sequences=SEQUENCES)
def test_a_request_carries_every_value_exactly(
    name: str, sequences: list[NDArray[np.float32]]
) -> None:
    found = carried(ALL[name].request("lstm", sequences))
    assert len(found) == len(sequences)
    for sequence, row in zip(sequences, found, strict=True):
        np.testing.assert_array_equal(sequence, row)


def test_names_are_unique_and_a_server_has_one_way_to_start() -> None:
    assert len(ALL) == len(contestants())
    pausable: dict[str, bool] = {}
    for contestant in contestants():
        assert pausable.setdefault(contestant.server, contestant.pausable) == contestant.pausable


def test_stopping_a_server_ends_what_left_its_process_group() -> None:
    leaving = "import os, time; os.setsid(); print('left', flush=True); time.sleep(600)"
    leader = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {leaving!r}])"
    server = subprocess.Popen(
        [sys.executable, "-c", leader], stdout=subprocess.PIPE, start_new_session=True
    )
    assert server.stdout is not None
    with server.stdout as lines:
        assert lines.readline() == b"left\n"
        stop(server, timeout_s=0.2)
        assert server.returncode is not None
        assert lines.read() == b""  # its writers are gone
