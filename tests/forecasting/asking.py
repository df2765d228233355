"""Asking for forecasts in both protocols."""

from __future__ import annotations

import copy
import math
from typing import Any

import httpx
import pytest

Json = dict[str, Any]
KSERVE_EXAMPLE: Json = {
    "model": "traffic-gru",
    "inputs": [
        {
            "type": "univariate_time_series",
            "name": "I-94",
            "series": [3300 - 2600 * round(math.cos(math.pi * hour / 12), 2) for hour in range(48)],
            "frequency": "H",
            "start_timestamp": "2018-05-08T00:00:00",
            "covariates": {"holiday": [0] * 48},
            "future_covariates": {"holiday": [0] * 6},
        }
    ],
    "options": {"horizon": 6, "quantiles": [0.1, 0.5, 0.9]},
}
(INPUT,), OPTIONS = KSERVE_EXAMPLE["inputs"], KSERVE_EXAMPLE["options"]
EXAMPLE: Json = {
    "series": [
        {
            "values": [*INPUT["series"][:24], None, *INPUT["series"][25:]],
            "start": INPUT["start_timestamp"],
            "covariates": INPUT["covariates"],
            "future_covariates": INPUT["future_covariates"],
        }
    ],
    **OPTIONS,
}


def ask(client: httpx.Client, request: Json, model: str = "traffic-gru") -> httpx.Response:
    return client.post(f"/v1/models/{model}/predict", json=request)


def predictions(client: httpx.Client, request: Json, model: str = "traffic-gru") -> list[Json]:
    response = ask(client, request, model)
    assert response.status_code == 200, response.text
    found: list[Json] = response.json()["predictions"]
    return found


def check_alike(one: list[Json], other: list[Json]) -> None:
    """Fail unless two answers are the same to rounding."""
    assert len(one) == len(other)
    for first, second in zip(one, other, strict=True):
        assert first["mean"] == pytest.approx(second["mean"], rel=1e-4, abs=0.1)
        for quantile, values in first["quantiles"].items():
            assert values == pytest.approx(second["quantiles"][quantile], rel=1e-4, abs=0.1)


def changed(request: Json, path: str, value: Any) -> Json:
    """A copy with one field changed; None takes it away."""
    found = copy.deepcopy(request)
    *way, last = path.split(".")
    place: Any = found
    for key in way:
        place = place[int(key) if key.isdigit() else key]
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return found
