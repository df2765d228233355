"""What Triton's perf_analyzer asks, read off the wire; and itself, where it is installed.

Its wheel needs a newer C library (2.38) than the oldest that this serves on.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc

from tests.grpc.asking import serving_grpc
from tests.http.payloads import frames
from tests.protocol.asking import described, infer, outputs_of
from tests.protocol.made import EXPLAINING, LABELLED
from tests.servers import REPOSITORY

STEPS = np.array([20, 13, 1, 20])
INPUTS = np.stack([frames(20, seed) for seed in range(4)])
PROGRAM = shutil.which("perf_analyzer")
MAKES_TEXTS = ("dates", "en-fr", "g2p", "shakespeare")


def tensors(lengths: Any, *, binary: bool) -> tuple[list[dict[str, Any]], bytes]:
    found = [
        described("inputs", INPUTS, "FP32", binary=binary),
        described("lengths", lengths, "INT64", binary=binary, nested=True),
    ]
    return [tensor for tensor, _ in found], b"".join(blob for _, blob in found)


def test_the_metadata_say_what_it_can_set_a_shape_of(client: httpx.Client) -> None:
    for model in (LABELLED, EXPLAINING, "rows", "sum"):
        metadata = client.get(f"/v2/models/{model}").json()
        config = client.get(f"/v2/models/{model}/config").json()
        batch = [-1] if config["max_batch_size"] else []
        for told, configured in zip(metadata["inputs"], config["input"], strict=True):
            assert configured["dims"], "no shape could be set"
            assert told["shape"] == [*batch, *configured["dims"]]


@pytest.mark.parametrize("model", [LABELLED, EXPLAINING])
@pytest.mark.parametrize("binary", [True, False])
def test_lengths_by_one_a_row_answer_as_plain_ones(
    client: httpx.Client, model: str, binary: bool
) -> None:
    outputs = [{"name": "logits", "parameters": {"binary_data": True}}]
    found = []
    for lengths in (STEPS, STEPS[:, None]):
        document, blobs = tensors(lengths, binary=binary)
        whole = {"id": "", "inputs": document, "outputs": outputs}
        for _ in range(4):  # until it is known by heart
            found.append(outputs_of(infer(client, model, whole, blobs))["logits"])
    assert found[0].shape == (4, 10)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@pytest.mark.parametrize("shape", [(4, 2), (2, 2), (1, 4), (4, 1, 1), (2,)])
def test_other_shapes_of_lengths_are_refused(client: httpx.Client, shape: tuple[int, ...]) -> None:
    document, _ = tensors(np.resize(STEPS, shape), binary=False)
    response = infer(client, LABELLED, {"inputs": document})
    assert (response.status_code, response.json()["field"]) == (400, "lengths")


def test_a_value_of_each_row_may_have_an_axis_of_one(client: httpx.Client) -> None:
    """Of any graph: `y` is `x`, a value a row."""
    values = np.array([3.0, 1.0, 2.0], np.float32)
    for given in (values, values[:, None]):
        for binary in (True, False):
            tensor, blob = described("x", given, "FP32", binary=binary)
            found = outputs_of(infer(client, "fp32-1", {"inputs": [tensor]}, blob))
            assert found["y"].tolist() == values.tolist()


def test_over_grpc_too(repository: Path) -> None:
    found = []
    with serving_grpc(repository) as server:
        with triton_grpc.InferenceServerClient(server.address) as client:
            (_, lengths) = client.get_model_metadata(LABELLED).inputs
            assert list(lengths.shape) == [-1, 1]
            configured = client.get_model_config(LABELLED).config.input[1]
            assert (list(configured.dims), list(configured.reshape.shape)) == ([1], [])
            assert configured.HasField("reshape")
            for given in (STEPS, STEPS[:, None]):
                inputs = [
                    triton_grpc.InferInput("inputs", list(INPUTS.shape), "FP32"),
                    triton_grpc.InferInput("lengths", list(given.shape), "INT64"),
                ]
                inputs[0].set_data_from_numpy(INPUTS)
                inputs[1].set_data_from_numpy(given)
                found.append(client.infer(LABELLED, inputs).as_numpy("logits"))
        np.testing.assert_array_equal(*found)


def write_data(folder: Path, metadata: dict[str, Any]) -> Path:
    """One sequence, as docs/protocol.md makes it."""
    told = metadata["inputs"][0]
    shape = [20, *told["shape"][2:]]
    content = np.ones(shape, np.int64 if told["datatype"] == "INT64" else np.float32)
    inputs = {"content": content.ravel().tolist(), "shape": shape}
    path = folder / "data.json"
    path.write_text(json.dumps({"data": [{"inputs": inputs, "lengths": [20]}]}))
    return path


@pytest.mark.skipif(PROGRAM is None, reason="perf_analyzer is not installed")
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_it_drives_every_bundled_model_that_answers_tensors(tmp_path: Path, protocol: str) -> None:
    assert PROGRAM is not None
    with serving_grpc(REPOSITORY) as server:
        http = server.process.base_url.removeprefix("http://")
        url = server.address if protocol == "grpc" else http
        names = sorted(path.name for path in REPOSITORY.iterdir())
        for name in (it for it in names if not it.startswith(MAKES_TEXTS)):
            data = write_data(tmp_path, server.process.client.get(f"/v2/models/{name}").json())
            command = [PROGRAM, "-m", name, "-i", protocol, "-u", url, "--input-data", str(data)]
            command += ["-b", "4", "--request-count", "20"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
