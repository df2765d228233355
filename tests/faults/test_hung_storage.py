"""A file that never comes, as from a network share that hangs, holds up its own model alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.any_onnx.made import linear
from tests.faults.preload import HungStorage, environment
from tests.http.refusals import check_refusal
from tests.http.scrape import Scrape
from tests.lifecycle.asking import Asking
from tests.servers import Server, serving, wait_until

GRAPH = linear(np.ones((4, 2), np.float32)).SerializeToString()
INPUTS = [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]


def write(folder: Path, name: str) -> None:
    (folder / name / "1").mkdir(parents=True)
    (folder / name / "1" / "model.onnx").write_bytes(GRAPH)


@pytest.fixture(params=[1, 2], ids=["one process", "workers"])
def hung(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, HungStorage]]:
    """A server whose model of this name can't be read, beside one that can."""
    folder = tmp_path / "repository"
    write(folder, "good")
    write(folder, "hung")
    storage = HungStorage(tmp_path, folder / "hung" / "1" / "model.onnx")
    storage.hang()
    with (
        environment(**storage.variables),
        serving(
            folder,
            workers=request.param,
            storage_timeout_s=0.3,
            poll_repository_s=0.05,
            strict_readiness=False,
        ) as server,
    ):
        yield server, storage


def is_serving(server: Server, name: str) -> bool:
    answer = server.client.post(f"/v2/models/{name}/infer", json={"inputs": INPUTS})
    return answer.status_code == 200 and answer.json()["outputs"][0]["data"] == [10, 10]


def reason_of(server: Server, name: str) -> str:
    entries = server.client.post("/v2/repository/index").json()
    return "; ".join(entry["reason"] for entry in entries if entry["name"] == name)


def num_threads(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def test_it_holds_up_its_own_model_alone(hung: tuple[Server, HungStorage], tmp_path: Path) -> None:
    server, storage = hung
    asking = Asking(server, "hung")
    assert is_serving(server, "good")
    wait_until(lambda: "the last thing was" in reason_of(server, "hung"))
    assert "LOADING" in asking.states().values()
    check_refusal(asking.load(), 503, "", "does not answer", code="storage_hangs")
    before = num_threads(server)
    for _ in range(3):  # asked again, it is begun no second time
        check_refusal(asking.load(), 503, "", "does not answer", code="storage_hangs")
        check_refusal(asking.unload(), 503, "", code="storage_hangs")
    assert num_threads(server) <= before
    assert Asking(server, "good").load().status_code == 200
    write(tmp_path / "repository", "new")
    wait_until(lambda: is_serving(server, "new"))
    wait_until(lambda: Scrape(server)("seqserve_repository_look_ok") == 0)
    assert Scrape(server)("seqserve_repository_reads_standing") >= 1

    storage.answer()
    wait_until(lambda: is_serving(server, "hung"))
    wait_until(lambda: Scrape(server)("seqserve_repository_look_ok") == 1)
    assert reason_of(server, "hung") == ""

    storage.hang()  # what serves goes on, and what looks at it tells
    wait_until(lambda: "looking at model.onnx stands still" in reason_of(server, "hung"))
    assert is_serving(server, "hung")
    assert Asking(server, "good").load().status_code == 200
    began_s = time.monotonic()
    server.stop()
    assert time.monotonic() - began_s < 5.0
