"""A server that prefers int8 answers with the variants, and in fp32 where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from service.manifest import read_manifest
from tests.http.alone import Alone
from tests.http.payloads import FAMILIES, JSON, frames, infer_body, infer_path, rows_of
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
