"""Ids and lengths that a described graph does not take are found at load, and refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service.description import read_description
from service.errors import BundleError
from service.graphs.described.describe import describe
from service.graphs.described.limits import with_limits
from service.graphs.session import open_session
from service.graphs.spec import SequenceSpec
from tests.any_onnx.made import graph, tensor, write
from tests.http.payloads import tensor as json_tensor
from tests.http.refusals import check_refusal
from tests.http.scrape import Scrape
from tests.servers import Server, serving

IDS, POSITIONS, WIDTH = 500, 512, 4
TOKENS: dict[str, Any] = {"inputs": {"name": "ids"}}


def positioned(before: str = "", datatype: int = TensorProto.INT64) -> onnx.ModelProto:
    """`y` (n, time, width) is a vector for each id and one for each of 512 positions; ids are
    first clipped, or wrapped, if that is said.
    """
    random = np.random.default_rng(0)
    numbers = {"top": np.array(IDS - 1), "zero": np.array(0), "count": np.array(IDS)}
    node = helper.make_node
    nodes = [node("Cast", ["ids"], ["whole"], to=TensorProto.INT64)]
    nodes += {
        "": [node("Identity", ["whole"], ["known"])],
        "clip": [node("Clip", ["whole", "zero", "top"], ["known"])],
        "wrap": [node("Mod", ["whole", "count"], ["known"])],
    }[before]
    nodes += [
        node("Gather", ["words", "known"], ["word"]),
        node("Shape", ["ids"], ["time"], start=1, end=2),
        node("Squeeze", ["time"], ["steps"]),
        node("Range", ["zero", "steps", "one"], ["places"]),
        node("Gather", ["positions", "places"], ["place"]),
        node("Add", ["word", "place"], ["y"]),
    ]
    tables = {
        "words": random.standard_normal((IDS, WIDTH)).astype(np.float32),
        "positions": random.standard_normal((POSITIONS, WIDTH)).astype(np.float32),
        "one": np.array(1),
    }
    return graph(
        nodes,
        [tensor("ids", ["n", "time"], datatype)],
        [tensor("y", ["n", "time", WIDTH])],
        **tables, **numbers,
    )  # fmt: skip


def spec_of(model: onnx.ModelProto, description: Any) -> SequenceSpec:
    read = read_description(description)
    return with_limits(describe(open_session(model.SerializeToString()), read), read).spec


@pytest.mark.parametrize("datatype", [TensorProto.INT64, TensorProto.INT32])
def test_what_a_graph_takes_is_found_to_the_last(datatype: int) -> None:
    spec = spec_of(positioned(datatype=datatype), TOKENS)
    assert (spec.num_tokens, spec.max_length) == ((IDS,), POSITIONS)


@pytest.mark.parametrize("before", ["clip", "wrap"])
def test_a_graph_that_takes_any_id_has_no_such_limit(before: str) -> None:
    spec = spec_of(positioned(before), TOKENS)
    assert (spec.num_tokens, spec.max_length) == ((), POSITIONS)


def test_what_is_said_is_not_tried() -> None:
    said = {"inputs": {"name": "ids", "vocabulary": 30}, "limits": {"max_length": 20}}
    spec = spec_of(positioned("clip"), said)
    assert (spec.num_tokens, spec.max_length) == ((30,), 20)


def test_a_vocabulary_is_of_ids() -> None:
    said = {"inputs": {"name": "ids", "vocabulary": 30}}
    with pytest.raises(BundleError, match=r"inputs.vocabulary: ids is float32, no whole numbers"):
        spec_of(positioned(datatype=TensorProto.FLOAT), said)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("limits")
    write(folder, "tokens", positioned(), TOKENS)
    with serving(folder) as server:
        yield server


@pytest.mark.parametrize(
    ("ids", "field", "words"),
    [
        ([[1, 2, IDS]], "ids[0][2]", ["500, no token", "0 to 499"]),
        ([[1, 2, 3], [4, -1, 5]], "ids[1][1]", ["-1, no token"]),
        ([[7] * 600], "ids[0]", ["600 steps", "at most 512"]),
    ],
)
def test_what_is_beyond_is_refused_before_it_runs(
    server: Server, ids: list[list[int]], field: str, words: list[str]
) -> None:
    before = Scrape(server)("seqserve_batch_size_count", model="tokens")
    body = {"inputs": [json_tensor("ids", np.array(ids))]}
    check_refusal(server.client.post("/v2/models/tokens/infer", json=body), 422, field, *words)
    assert Scrape(server)("seqserve_batch_size_count", model="tokens") == before


def test_the_last_that_is_within_is_answered_and_the_metadata_says_which(server: Server) -> None:
    body = {"inputs": [json_tensor("ids", np.full((1, POSITIONS), IDS - 1))]}
    assert server.client.post("/v2/models/tokens/infer", json=body).status_code == 200
    said = server.client.get("/v2/models/tokens").json()["properties"]
    assert (said["max_length"], said["vocabulary"]) == ("512", "500")
