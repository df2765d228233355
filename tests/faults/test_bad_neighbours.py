"""One client's sequence that fails the graph is refused; those that ran with it are answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from tests.any_onnx.made import write
from tests.fakes import TIMEOUT_S
from tests.faults.lookups import CELLS, HIDDEN, IDS, WHOLE, embedding, gru
from tests.grpc.asking import GrpcServer, arrays_of, check_error, message, serving_grpc
from tests.http.payloads import tensor
from tests.http.scrape import Scrape

CLIENTS, TURNS = 20, 30

MODELS = ["cells", "whole", "unequal", "bare"]
"""A state in and out; without; without lengths; not described."""

Ids = NDArray[np.float32]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ids as floats, of which nobody can say beforehand which are good."""
    folder = tmp_path_factory.mktemp("lookups")
    write(folder, "cells", gru(TensorProto.FLOAT), CELLS)
    write(folder, "whole", gru(TensorProto.FLOAT, state=False), WHOLE)
    write(folder, "unequal", embedding(TensorProto.FLOAT), {"inputs": {"name": "ids"}})
    write(folder, "bare", embedding(TensorProto.FLOAT))
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[GrpcServer]:
    with serving_grpc(repository, engine_threads=1, chunk_steps=8, max_batch_size=32) as server:
        yield server


class Alone(NamedTuple):
    """A model without a server."""

    name: str
    session: onnxruntime.InferenceSession

    def run(self, ids: Ids) -> NDArray[np.float32]:
        """Its first output for one sequence (time,)."""
        feed: dict[str, Any] = {"ids": ids[None]}
        if self.name in ("cells", "whole"):
            feed["lens"] = np.array([len(ids)])
        if self.name == "cells":
            feed["h"] = np.zeros((1, 1, HIDDEN), np.float32)
        row: NDArray[np.float32] = self.session.run(None, feed)[0][0]
        return row


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, repository: Path) -> Alone:
    graph = repository / request.param / "1" / "model.onnx"
    return Alone(request.param, onnxruntime.InferenceSession(graph))


def ids_of(random: np.random.Generator, is_bad: bool) -> Ids:
    ids = random.integers(0, IDS, int(random.integers(1, 30))).astype(np.float32)
    if is_bad:
        ids[random.integers(len(ids))] = IDS
    return ids


def test_of_twenty_clients_only_the_bad_one_is_refused(server: GrpcServer, model: Alone) -> None:
    client = server.process.client
    begin = threading.Barrier(CLIENTS)

    def ask(index: int) -> None:
        random = np.random.default_rng((index, 1))
        begin.wait()
        for _ in range(TURNS):
            ids = ids_of(random, is_bad=index == 7)
            answer = client.post(
                f"/v2/models/{model.name}/infer", json={"inputs": [tensor("ids", ids[None])]}
            )
            if index != 7:
                assert answer.status_code == 200, answer.text
                (output,) = (
                    it for it in answer.json()["outputs"] if it["name"] in ("y", "vectors")
                )
                found = np.array(output["data"], np.float32)
                np.testing.assert_allclose(found, model.run(ids).ravel(), atol=1e-6)
                continue
            assert answer.status_code == 422, answer.text
            assert answer.json()["code"] == "unfit_tensors"
            assert f"idx={IDS} must be within" in answer.json()["error"]  # onnxruntime's words

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(CLIENTS)))
    assert Scrape(server.process)("seqserve_queue_depth", model=model.name) == 0


@pytest.mark.parametrize("name", MODELS[:3])
def test_a_request_of_several_is_refused_whole_and_told_which(
    server: GrpcServer, name: str
) -> None:
    ids = np.ones((3, 5), np.float32)
    ids[1, 2] = IDS
    request = message(name, {"ids": ids})
    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(request)
    check_error(
        refusal.value, grpc.StatusCode.INVALID_ARGUMENT, "ids[1]", f"{name} can't take ids[1]"
    )
    ids[1, 2] = 0
    assert len(arrays_of(server.infer(message(name, {"ids": ids})))) == 1


def test_the_answers_of_a_stream_are_each_its_own(server: GrpcServer) -> None:
    random = np.random.default_rng(9)
    asked = [ids_of(random, is_bad=index % 5 == 3) for index in range(60)]
    requests = [message("cells", {"ids": ids[None]}, id=str(i)) for i, ids in enumerate(asked)]
    answers = list(server.stub.ModelStreamInfer(iter(requests), timeout=TIMEOUT_S))
    refused = {it.infer_response.id: it.error_message for it in answers if it.error_message}
    assert refused.keys() == {str(index) for index in range(3, 60, 5)}
    assert all("cells can't take ids[0]" in reason for reason in refused.values())
    assert len(answers) == 60
