"""Every bundled model answers under mixed load what it answers alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest

from tests.bundles.requests import Body, make_request
from tests.servers import REPOSITORY, Server, serving

NUM_REQUESTS = 5  # to each model
NUM_CALLERS = 24


class Asked(NamedTuple):
    """One request, and what it was answered alone."""

    model: str
    body: Body
    answer: Any


@pytest.fixture(scope="module")
def everything() -> Iterator[Server]:
    with serving(REPOSITORY) as server:
        yield server


def ask(client: httpx.Client, model: str, body: Body) -> Any:
    response = client.post(f"/v1/models/{model}/predict", json=body)
    assert response.status_code == 200, (model, body, response.text)
    return response.json()["predictions"]


def check_same(found: Any, wanted: Any, where: str) -> None:
    """Fail unless two answers are the same, but for the rounding of sums in another order."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key, value in wanted.items():
            check_same(found[key], value, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for index, value in enumerate(wanted):
            check_same(found[index], value, f"{where}[{index}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4), where
    else:
        assert found == wanted, where


@pytest.mark.timeout(300)
def test_every_model_answers_in_company_as_alone(everything: Server) -> None:
    random = np.random.default_rng(0)
    with httpx.Client(base_url=everything.base_url, timeout=120) as client:
        models = client.get("/v1/models").json()["models"]
        paths = client.get("/openapi.json").json()["paths"]
        asked = []
        for model in models:
            content = paths[f"/v1/models/{model['name']}/predict"]["post"]["requestBody"]["content"]
            example = content["application/json"]["examples"]["example"]["value"]
            bodies = [make_request(model, example, random) for _ in range(NUM_REQUESTS)]
            for body in (example, *bodies):
                asked.append(Asked(model["name"], body, ask(client, model["name"], body)))
        assert {path.name for path in REPOSITORY.iterdir()} == {it.model for it in asked}
        order = random.permutation(np.tile(np.arange(len(asked)), 2))
        with ThreadPoolExecutor(NUM_CALLERS) as pool:
            answers = pool.map(lambda place: ask(client, *asked[place][:2]), order)
            for place, answer in zip(order, answers, strict=True):
                check_same(answer, asked[place].answer, asked[place].model)
