"""Clients of unlike scale at the same time: each is answered as the graph answers it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from tests.any_onnx.asking import ask, outputs_of
from tests.any_onnx.in_company import (
    FEATURES,
    as_long_as_the_longest,
    counted_words,
    float_ids,
    logarithm,
    masked_mean,
    normalised,
    quantized,
)
from tests.any_onnx.made import write
from tests.servers import Server, serving

CLIENTS, REQUESTS = 8, 96
SEQUENCES: dict[str, Any] = {"inputs": {"name": "x"}}
WITH_LENGTHS: dict[str, Any] = {"inputs": {"name": "x", "lengths": "lengths"}}
Inputs = dict[str, NDArray[Any]]
Random = np.random.Generator


def row(random: Random) -> Inputs:
    return {"x": floats(random, (1, FEATURES))}


def steps(random: Random) -> Inputs:
    return {"x": floats(random, (1, 6, FEATURES))}


def words(random: Random) -> Inputs:
    return {"x": random.integers(0, random.choice([2, 40, 900]), (1, 6))}


def with_length(random: Random) -> Inputs:
    return {"x": floats(random, (1, 12)), "lengths": random.integers(1, 13, 1)}


def steps_and_lengths(random: Random) -> Inputs:
    length = int(random.integers(1, 30))
    return {"x": floats(random, (1, length, FEATURES)), "lengths": np.array([length])}


def ids_and_lengths(random: Random) -> Inputs:
    length = int(random.integers(1, 30))
    ids = random.integers(0, 6, (1, length)).astype(np.float32)
    return {"x": ids, "lengths": np.array([length])}


def floats(random: Random, shape: tuple[int, ...]) -> NDArray[np.float32]:
    scale = random.choice([1e-2, 1.0, 1e3])
    return np.asarray(scale * random.standard_normal(shape), np.float32)


ALONE: dict[str, tuple[onnx.ModelProto, Any, Callable[[Random], Inputs], str]] = {
    "labels": (quantized(), None, row, "DynamicQuantizeLinear rounds by"),
    "labels-of-steps": (quantized(3), SEQUENCES, steps, "DynamicQuantizeLinear rounds by"),
    "scores-of-steps": (quantized(3, False), SEQUENCES, steps, "DynamicQuantizeLinear rounds by"),
    "normalised": (normalised(), SEQUENCES, steps, "y of a sequence depends on the others"),
    "normalised-bare": (normalised(), None, steps, "a row of y depends on the other rows"),
    "words": (counted_words(), None, words, "a row of y depends on the other rows"),
    "words-of-all": (counted_words(False), None, words, "y has not one row for each"),
    "longest": (as_long_as_the_longest(), None, with_length, "a row of y depends on the other"),
    "logarithm": (logarithm(), SEQUENCES, steps, "y of a sequence depends on the others"),
    "logarithm-bare": (logarithm(), None, steps, "a row of y depends on the other rows"),
}
"""A graph, its description, what a client sends, and what stands in the way of company."""

TOGETHER: dict[str, tuple[onnx.ModelProto, Any, Callable[[Random], Inputs]]] = {
    "masked-mean": (masked_mean(), WITH_LENGTHS, steps_and_lengths),
    "float-ids": (float_ids(), WITH_LENGTHS, ids_and_lengths),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    for name, alone in ALONE.items():
        write(folder, name, *alone[:2])
    for name, together in TOGETHER.items():
        write(folder, name, *together[:2])
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with serving(repository, engine_threads=2) as server:
        yield server


def check_all(
    server: Server, repository: Path, name: str, make: Callable[[Random], Inputs]
) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(repository / name / "1" / "model.onnx", options)

    def check(seed: int) -> None:
        inputs = make(np.random.default_rng(seed))
        (wanted,) = session.run(["y"], inputs)
        response = ask(server, name, **inputs)
        if not np.isfinite(wanted).all():
            assert response.status_code == 422, response.text
            return
        found = outputs_of(response)["y"]
        assert found.shape == wanted.shape
        scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * scale)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(check, range(REQUESTS)))


@pytest.mark.parametrize("name", ALONE)
def test_what_depends_on_company_runs_alone_and_says_why(
    server: Server, repository: Path, name: str
) -> None:
    _, description, make, reason = ALONE[name]
    batching = server.client.get(f"/v2/models/{name}").json()["properties"]["batching"]
    what = "sequence" if description else "request"
    assert batching.startswith(f"one {what} at a time: ")
    assert reason in batching
    check_all(server, repository, name, make)


@pytest.mark.parametrize("name", TOGETHER)
def test_what_only_looks_so_runs_together(server: Server, repository: Path, name: str) -> None:
    assert "batching" not in server.client.get(f"/v2/models/{name}").json()["properties"]
    check_all(server, repository, name, TOGETHER[name][2])
