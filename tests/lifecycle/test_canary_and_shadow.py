"""A canary gets its share and no more; a shadow is asked the same, and only counted."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from service.repository.policy import ServingConfig
from service.repository.routes import Entry, Routes
from service.repository.served import Loaded
from tests.graphs.made import sum_graph, sum_manifest, write_bundle
from tests.http.scrape import Scrape
from tests.lifecycle.asking import MODEL, Asking, check_answer, write_versions
from tests.servers import Server, serving, wait_until

DRAWS, SIGMAS = 4_000, 4.5  # of a right split, one in 150,000 runs would be off by so much


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    write_versions(folder, 1, 2)
    graph = onnx.load_from_string(sum_graph())
    (offset,) = (c for c in graph.graph.initializer if c.name == "offset")
    other = np.array([1_000, 0], dtype=np.float32)
    offset.CopyFrom(numpy_helper.from_array(other, "offset"))
    write_graph(folder, "3", graph.SerializeToString())
    write_graph(folder, "4", sum_graph(), limits={"max_length": 2})
    return folder


def write_graph(folder: Path, version: str, graph: bytes, **changes: Any) -> None:
    """A version of the model with this graph."""
    manifest = sum_manifest(graph, name=MODEL, version=version, **changes)
    write_bundle(folder, manifest, graph)


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serving(folder, calibration_ms=1) as server:
        yield server


def check_share(count: int, share: float, total: int) -> None:
    """Fail unless so many of `total` are a likely draw of this share."""
    deviation = math.sqrt(total * share * (1 - share))
    assert abs(count - total * share) <= SIGMAS * deviation, (count, share, total)


def routes(**config: Any) -> Routes:
    """A model with versions 1 and 2, which stand for themselves."""
    entries = (
        Entry(MODEL, version, "READY", loaded=Loaded(None, {}))  # type: ignore[arg-type]
        for version in ("1", "2")
    )
    return Routes(MODEL, {}, ServingConfig.model_validate(config)).replace(*entries)


@pytest.mark.parametrize("weight", [0.0, 0.03, 0.5, 1.0])
def test_a_canary_gets_its_share_of_those_who_name_no_version(weight: float) -> None:
    model, random = routes(canary={"version": "2", "weight": weight}), Random(1)
    drawn = Counter(model.route(None, random).loaded is model.serving["2"] for _ in range(DRAWS))
    check_share(drawn[True], weight, DRAWS)
    for _ in range(100):
        assert model.route("1", random).loaded is model.serving["1"]
        assert model.route("2", random).loaded is model.serving["2"]


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_a_shadow_is_asked_its_share_and_never_beside_itself(share: float) -> None:
    model, random = routes(shadow={"version": "2", "share": share}), Random(2)
    for version, once in [(None, share), ("1", share), ("2", 0.0)]:
        routed = [model.route(version, random) for _ in range(DRAWS)]
        assert {each.shadow for each in routed} <= {None, model.serving["2"]}
        check_share(sum(each.shadow is not None for each in routed), once, DRAWS)


def test_the_server_splits_as_it_is_told(server: Server) -> None:
    asking = Asking(server)
    config = {"versions": {"specific": [1]}, "canary": {"version": "2", "weight": 0.3}}
    assert asking.load(config).status_code == 200
    answered = Counter(asking.answering() for _ in range(600))  # the same words each time
    assert answered.keys() == {"1", "2"}
    check_share(answered["2"], 0.3, 600)
    counted = Scrape(server)
    for version in ("1", "2"):
        named = {"model": MODEL, "version": version, "outcome": "ok"}
        assert counted("seqserve_requests_total", **named) == answered[version]
    assert asking.load({"versions": {"specific": [2]}}).status_code == 200
    assert {asking.answering() for _ in range(20)} == {"2"}


def outcomes(server: Server, version: str) -> dict[str, float]:
    """How often a shadow's answers were so, by outcome."""
    scrape = Scrape(server)
    labels = {"model": MODEL, "version": version}
    found = {
        outcome: scrape("seqserve_shadow_requests_total", outcome=outcome, **labels)
        for outcome in ("agree", "disagree", "failed", "skipped")
    }
    return {outcome: count for outcome, count in found.items() if count}


def test_a_shadow_that_labels_alike_agrees_though_its_numbers_differ(server: Server) -> None:
    asking = Asking(server)
    shadowed = {"versions": {"specific": [1]}, "shadow": {"version": "2"}}
    assert asking.load(shadowed).status_code == 200
    assert {asking.answering() for _ in range(10)} == {"1"}
    wait_until(lambda: sum(outcomes(server, "2").values()) == 10)
    assert outcomes(server, "2") == {"agree": 10}
    labels = {"model": MODEL, "version": "2"}
    scrape = Scrape(server)
    assert scrape("seqserve_shadow_max_abs_difference_count", **labels) == 10
    assert scrape("seqserve_shadow_max_abs_difference_sum", **labels) == 10.0
    assert asking.versions() == ["1", "2"]
    assert asking.answering("2") == "2"
    assert outcomes(server, "2") == {"agree": 10}, "it was not asked beside itself"


def test_a_shadow_that_labels_otherwise_is_counted_and_changes_no_answer(server: Server) -> None:
    asking = Asking(server)
    shadowed = {"versions": {"specific": [1]}, "shadow": {"version": "3"}}
    assert asking.load(shadowed).status_code == 200
    assert {asking.answering() for _ in range(10)} == {"1"}
    wait_until(lambda: sum(outcomes(server, "3").values()) == 10)
    assert outcomes(server, "3") == {"disagree": 10}


def test_what_a_shadow_could_not_take_is_skipped_and_answered(server: Server) -> None:
    asking = Asking(server)
    shadowed = {"versions": {"specific": [1]}, "shadow": {"version": "4"}}
    assert asking.load(shadowed).status_code == 200
    for length in (2, 3):
        assert check_answer(asking.infer(length=length), length) == "1"
    wait_until(lambda: sum(outcomes(server, "4").values()) == 2)
    assert outcomes(server, "4") == {"agree": 1, "skipped": 1}


def test_a_canary_that_takes_other_inputs_is_warned_of(tmp_path: Path) -> None:
    for version, taken in (("1", "x"), ("2", "features")):
        node = helper.make_node("Identity", [taken], ["y"])
        tensors = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2])
            for name in (taken, "y")
        ]
        model = helper.make_model(
            helper.make_graph([node], "g", tensors[:1], tensors[1:]),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )
        (tmp_path / "same" / version).mkdir(parents=True)
        onnx.save(model, tmp_path / "same" / version / "model.onnx")
    rule = {"canary": {"version": "2", "weight": 0.5}}
    (tmp_path / "same" / "serving.json").write_text(json.dumps(rule))
    with serving(tmp_path, calibration_ms=1) as server:
        event = "version on trial takes other inputs: requests made for the default will fail"
        warned = server.wait_for_event(event, model="same", version="2", default="1")
        assert warned["inputs"] == ["features"]
