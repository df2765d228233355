"""Each request is answered in the precision that it or else the setting asks for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import numpy as np
import pytest

from service.manifest import read_manifest
from tests.http.alone import Alone
from tests.http.payloads import (
    FAMILIES,
    JSON,
    Frames,
    frames,
    infer_body,
    infer_path,
    predict_body,
    predict_path,
    rows_of,
)
from tests.http.refusals import check_refusal
from tests.http.scrape import Scrape
from tests.servers import Server, bundles_folder, serving

TOLERANCE = 1e-5  # company moves an int8 answer no further than an fp32 one
LENGTHS = (1, 5, 16, 17, 40, 115)


@pytest.fixture(scope="module")
def preferring() -> Iterator[Server]:
    with serving(precision="int8") as server:
        yield server


@pytest.mark.parametrize("name", FAMILIES)
def test_the_preferred_graph_answers(name: str, preferring: Server) -> None:
    folder = bundles_folder() / name / "1"
    variant = read_manifest(folder).variants.get("int8")
    graph = Alone(folder, variant.file) if variant else Alone(folder)
    sequences = [frames(length) for length in LENGTHS]
    body = msgspec.json.encode(infer_body(*sequences, padding=1e30))
    response = preferring.client.post(infer_path(name), content=body, headers=JSON)
    assert response.status_code == 200, response.text
    logits = next(rows_of(o) for o in response.json()["outputs"] if o["name"] == "logits")
    wanted = np.stack([graph(sequence).logits for sequence in sequences])
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=TOLERANCE)
    if variant:
        fp32 = Alone(folder)
        others = np.stack([fp32(sequence).logits for sequence in sequences])
        assert np.abs(others - wanted).max() > 10 * TOLERANCE, "nothing tells the two apart"


def test_each_precision_has_its_own_series(preferring: Server) -> None:
    scrape = Scrape(preferring)
    lstm = {"model": "digits-lstm"}
    assert scrape("seqserve_model_info", precision="int8", **lstm) == 1
    assert scrape("seqserve_model_info", precision="fp32", **lstm) == 1
    assert scrape("seqserve_model_info", precision="int8", model="digits-gru") == 0
    body = msgspec.json.encode(infer_body(frames(7)))
    preferring.client.post(infer_path("digits-lstm"), content=body, headers=JSON)
    after = Scrape(preferring)
    real = {"kind": "real", **lstm}
    cells = "seqserve_cells_total"
    moved = after(cells, precision="int8", **real) - scrape(cells, precision="int8", **real)
    assert moved == 7
    assert after(cells, precision="fp32", **real) == scrape(cells, precision="fp32", **real)


def infer(client: httpx.Client, name: str, sequences: list[Frames], precision: str) -> Frames:
    """The logits over /v2, in this precision."""
    body = infer_body(*sequences, parameters={"precision": precision})
    response = client.post(infer_path(name), content=msgspec.json.encode(body), headers=JSON)
    assert response.status_code == 200, response.text
    return next(rows_of(o) for o in response.json()["outputs"] if o["name"] == "logits")


@pytest.mark.parametrize("name", ["digits-lstm", "digits-transformer"])
def test_requests_of_both_precisions_at_once(name: str, client: httpx.Client) -> None:
    folder = bundles_folder() / name / "1"
    graphs = {"fp32": Alone(folder), "int8": Alone(folder, "model.int8.onnx")}
    asked = [
        (precision, [frames(length, seed) for length in LENGTHS])
        for seed in range(8)
        for precision in graphs
    ]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda ask: infer(client, name, ask[1], ask[0]), asked))
    for (precision, sequences), logits in zip(asked, answers, strict=True):
        wanted = np.stack([graphs[precision](sequence).logits for sequence in sequences])
        np.testing.assert_allclose(logits, wanted, rtol=0, atol=TOLERANCE)


def test_the_task_api_takes_a_precision_too(client: httpx.Client) -> None:
    sequence = frames(21)
    body = predict_body(sequence, precision="int8", top_k=10)
    response = client.post(predict_path(), json=body)
    assert response.status_code == 200, response.text
    alone = Alone(bundles_folder() / "digits-lstm" / "1", "model.int8.onnx")
    found = {top["label"]: top["probability"] for top in response.json()["predictions"][0]["top"]}
    wanted = alone(sequence).probabilities
    np.testing.assert_allclose([found[label] for label in alone.labels], wanted, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "precision", "reason"),
    [
        ("digits-gru", "int8", "has fp32: onnxruntime has no int8 form"),
        ("digits-lstm", "int4", "has fp32 and int8"),
    ],
)
def test_a_precision_that_is_not_there_is_refused(
    name: str, precision: str, reason: str, client: httpx.Client
) -> None:
    options = infer_body(frames(3), parameters={"precision": precision})
    answer = client.post(infer_path(name), json=options)
    check_refusal(answer, 400, "parameters.precision", reason)
    answer = client.post(predict_path(name), json=predict_body(frames(3), precision=precision))
    check_refusal(answer, 400, "precision", reason)
