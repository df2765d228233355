"""Each kind of graph that a description knows, served: every answer is as of the graph alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.any_onnx.asking import ask, outputs_of
from tests.any_onnx.kinds import KINDS, Arrays, Kind
from tests.any_onnx.made import write
from tests.servers import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("kinds")
    for name, kind in KINDS.items():
        write(folder, name, kind.graph, kind.description)
    with serving(folder, engine_threads=2, calibration_ms=20) as server:
        yield server


@cache
def session(name: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(KINDS[name].graph.SerializeToString())


def alone(name: str, sequence: NDArray[Any]) -> Arrays:
    """What the graph itself says of one sequence."""

    def run(feed: Arrays) -> Arrays:
        names = [output.name for output in session(name).get_outputs()]
        return dict(zip(names, session(name).run(names, feed), strict=True))

    return KINDS[name].alone(run, sequence)


def made(kind: Kind, lengths: list[int], seed: int) -> list[NDArray[Any]]:
    random = np.random.default_rng(seed)
    if kind.ids:
        return [random.integers(0, 11, (length, *kind.step)) for length in lengths]
    return [random.standard_normal((length, *kind.step)).astype(np.float32) for length in lengths]


def check(server: Server, name: str, sequences: list[NDArray[Any]]) -> None:
    """A request of these is answered as each of them alone, zero past each one's own."""
    kind, lengths = KINDS[name], [*map(len, sequences)]
    padded = np.zeros((len(lengths), max(lengths), *kind.step), sequences[0].dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    inputs = {kind.description["inputs"]["name"]: padded}
    client_lengths = kind.description["inputs"].get("lengths", "lengths")
    outputs = outputs_of(ask(server, name, **inputs, **{client_lengths: np.array(lengths)}))
    for row, sequence in enumerate(sequences):
        wanted = alone(name, sequence)
        assert outputs.keys() == wanted.keys()
        for output, values in wanted.items():
            found, rest = outputs[output][row], values.shape
            if found.shape != rest:  # of each step, and another row is longer
                assert not found[len(values) :].any()
                found = found[: len(values)]
            np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-4)


def lengths_of(name: str) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(*KINDS[name].lengths), min_size=1, max_size=6)


@pytest.mark.parametrize("name", KINDS)
def test_many_at_a_time_are_answered_as_alone(server: Server, name: str) -> None:
    random = np.random.default_rng(1)
    shortest, longest = KINDS[name].lengths
    asked = [
        made(KINDS[name], random.integers(shortest, longest + 1, 3).tolist(), seed)
        for seed in range(16)
    ]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda sequences: check(server, name, sequences), asked))


def test_a_sequence_that_fails_harms_none_that_has_fewer_steps_of_output(server: Server) -> None:
    def one(turn: int) -> None:
        ids = np.arange(turn % 5, turn % 5 + 6)
        if turn % 4:
            check(server, "every-second", [ids])
            return
        refusal = ask(server, "every-second", ids=np.full((1, 6), 99))
        assert refusal.status_code == 422, refusal.text

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(200)))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), name=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 9))
def test_any_lengths_in_any_batch_are_answered_as_alone(
    server: Server, data: st.DataObject, name: str, seed: int
) -> None:
    check(server, name, made(KINDS[name], data.draw(lengths_of(name)), seed))


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.lengths[0] > 1])
def test_the_shortest_length_is_found_and_less_is_refused(server: Server, name: str) -> None:
    shortest = KINDS[name].lengths[0]
    short = made(KINDS[name], [shortest - 1], 0)[0]
    refusal = ask(server, name, x=short[None])
    assert refusal.status_code == 422
    assert f"{shortest - 1} steps, the model takes at least {shortest}" in refusal.json()["error"]


def test_what_is_left_out_is_not_there(server: Server) -> None:
    about = server.client.get("/v2/models/left-out").json()
    assert [output["name"] for output in about["outputs"]] == ["last"]
