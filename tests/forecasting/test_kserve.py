"""KServe's words for forecasts."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest

from tests.forecasting.asking import (
    EXAMPLE,
    INPUT,
    KSERVE_EXAMPLE,
    Json,
    changed,
    check_alike,
    predictions,
)


def kserve(client: httpx.Client, request: Json) -> httpx.Response:
    return client.post("/v1/timeseries/forecast", json=request)


def test_kserve_asks_for_the_same_in_its_own_words(client: httpx.Client) -> None:
    response = kserve(client, KSERVE_EXAMPLE)
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["model"], body["status"], body["error"]) == ("traffic-gru", "completed", None)
    ((forecast,),) = (output["content"] for output in body["outputs"])
    (expected,) = predictions(client, changed(EXAMPLE, "series.0.values", INPUT["series"]))
    told = [{"mean": forecast["mean_forecast"], "quantiles": forecast["quantiles"]}]
    check_alike(told, [expected])
    assert forecast["start_timestamp"] == expected["timestamps"][0]
    assert (forecast["name"], forecast["frequency"]) == ("I-94", "H")


def test_the_documents_example_of_each_model_is_answered(client: httpx.Client) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/timeseries/forecast"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert sorted(examples) == sorted(client.get("/v1/timeseries/models").json())
    for example in examples.values():
        assert kserve(client, example["value"]).status_code == 200


def test_kserve_lists_what_forecasts(client: httpx.Client) -> None:
    names = client.get("/v1/timeseries/models").json()
    assert "traffic-gru" in names
    assert "digits-lstm" not in names


def test_kserve_without_quantiles_and_compressed(client: httpx.Client) -> None:
    request = changed(KSERVE_EXAMPLE, "options.quantiles", None)
    body = gzip.compress(json.dumps({**request, "metadata": {"trace": 1}}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = client.post("/v1/timeseries/forecast", content=body, headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["outputs"][0]["content"][0]["quantiles"] is None


BAD: list[tuple[str, Any, int, str]] = [
    ("model", None, 400, "model"),
    ("model", "nobody", 404, "name"),
    ("model", "digits-lstm", 400, "model"),
    ("inputs", [], 422, "inputs"),
    ("inputs.0.type", "series", 400, "inputs[0].type"),
    ("inputs.0.type", "multivariate_time_series", 422, "inputs[0].type"),
    ("inputs.0.series", [[1.0]], 422, "inputs[0].series[0]"),
    ("inputs.0.series", [1.0], 422, "inputs[0].series"),
    ("inputs.0.frequency", "M", 422, "inputs[0].frequency"),
    ("inputs.0.frequency", "D", 422, "inputs[0].frequency"),
    ("inputs.0.start_timestamp", None, 422, "inputs[0].start_timestamp"),
    ("inputs.0.start_timestamp", "x", 422, "inputs[0].start_timestamp"),
    ("inputs.0.covariates", {}, 422, "inputs[0].covariates.holiday"),
    ("options", None, 400, "options"),
    ("options.horizon", 25, 422, "options.horizon"),
    ("options.quantiles", [0.01], 422, "options.quantiles[0]"),
]


@pytest.mark.parametrize(("path", "value", "status", "field"), BAD)
def test_what_is_wrong_is_named_in_kserves_words(
    client: httpx.Client, path: str, value: Any, status: int, field: str
) -> None:
    response = kserve(client, changed(KSERVE_EXAMPLE, path, value))
    assert response.status_code == status, response.text
    assert response.json()["field"] == field


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model": 1}'])
def test_what_is_no_request_is_refused(client: httpx.Client, body: bytes) -> None:
    response = client.post("/v1/timeseries/forecast", content=body)
    assert response.status_code == 400, response.text
