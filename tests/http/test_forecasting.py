"""Forecasts over HTTP: scores as measured, each bad field named, KServe's words for the same."""

from __future__ import annotations

import copy
import csv
import gzip
import json
import re
import subprocess
import sys
import textwrap
from typing import Any

import httpx
import numpy as np
import pytest

from service.api.timeseries import EXAMPLE as KSERVE_EXAMPLE
from tests.servers import CHECKOUT, Server, bundles_folder

MODELS = sorted(path.name for path in bundles_folder().glob("traffic-*"))
EXPLAINING = {"traffic-hybrid", "traffic-transformer"}
CONTEXT, HORIZON, FORECASTS = 168, 24, 28
QUANTILES = [tenth / 10 for tenth in range(1, 10)]
every_model = pytest.mark.parametrize("model", MODELS)

Json = dict[str, Any]
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
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """The first weeks of the test part, hour by hour, after the week before them."""
    with (CHECKOUT / "examples" / "traffic.csv").open() as file:
        return list(csv.DictReader(file))


def window(rows: Rows, origin: int) -> Json:
    """What is known at a row: the week before it, and the holidays of the day after."""
    history, ahead = rows[origin - CONTEXT : origin], rows[origin : origin + HORIZON]
    return {
        "timestamps": [row["time"] for row in history],
        "values": [float(row["cars"]) if row["cars"] else None for row in history],
        "covariates": {"holiday": [int(row["holiday"]) for row in history]},
        "future_covariates": {"holiday": [int(row["holiday"]) for row in ahead]},
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


def test_there_is_a_recurrent_bundle_and_one_with_attention() -> None:
    assert "traffic-gru" in MODELS
    assert EXPLAINING & {*MODELS}


@every_model
def test_scores_on_the_sample_are_as_measured(client: httpx.Client, rows: Rows, model: str) -> None:
    origins = range(CONTEXT, CONTEXT + FORECASTS * HORIZON, HORIZON)
    found = predictions(client, {"series": [window(rows, origin) for origin in origins]}, model)
    target = np.array([float(row["cars"] or "nan") for row in rows[CONTEXT:]])
    known = ~np.isnan(target)
    mean = np.concatenate([prediction["mean"] for prediction in found])
    bands = {q: np.concatenate([each["quantiles"][str(q)] for each in found]) for q in QUANTILES}
    pinball = [
        np.where(target > band, q * (target - band), (1 - q) * (band - target))[known].mean()
        for q, band in bands.items()
    ]
    covered = ((bands[0.1] <= target) & (target <= bands[0.9]))[known].mean()
    measured = json.loads((bundles_folder() / model / "1" / "metrics.json").read_text())["sample"]
    assert np.abs(bands[0.5] - target)[known].mean() == pytest.approx(measured["mae"], rel=1e-3)
    squares = ((mean - target) ** 2)[known]
    assert np.sqrt(squares.mean()) == pytest.approx(measured["rmse"], rel=1e-3)
    assert np.mean(pinball) == pytest.approx(measured["pinball"], rel=1e-3)
    assert covered == pytest.approx(measured["coverage_80"], abs=0.005)
    for prediction, origin in zip(found, origins, strict=True):
        assert prediction["timestamps"] == [row["time"] for row in rows[origin : origin + HORIZON]]


@every_model
def test_a_model_says_what_it_takes(client: httpx.Client, model: str) -> None:
    listed = {entry["name"]: entry for entry in client.get("/v1/models").json()["models"]}
    said = listed[model]
    assert (said["task"], said["context"], said["horizon"]) == ("forecasting", CONTEXT, HORIZON)
    assert (said["step_s"], said["covariates"], said["quantiles"]) == (3600, ["holiday"], QUANTILES)
    assert said["quality"]["metrics"]["mae"] < min(said["quality"]["baselines"].values())


@every_model
def test_a_shorter_horizon_and_other_quantiles(
    client: httpx.Client, rows: Rows, model: str
) -> None:
    series = window(rows, CONTEXT)
    series["future_covariates"]["holiday"] = series["future_covariates"]["holiday"][:5]
    request = {"series": [series], "horizon": 5, "quantiles": [0.1, 0.15, 0.2], "explain": True}
    (found,) = predictions(client, request, model)
    assert [len(found["timestamps"]), len(found["mean"])] == [5, 5]
    low, middle, high = (np.array(found["quantiles"][key]) for key in ("0.1", "0.15", "0.2"))
    np.testing.assert_allclose(middle, (low + high) / 2)
    if model in EXPLAINING:
        assert len(found["attention"]) == CONTEXT + 5
        assert sum(found["attention"]) == pytest.approx(1, abs=1e-4)
    else:
        assert found["attention"] is None


@every_model
def test_series_of_other_lengths_are_answered_as_alone(
    client: httpx.Client, rows: Rows, model: str
) -> None:
    short, long = window(rows, CONTEXT), window(rows, 400)
    short["values"], short["timestamps"] = short["values"][-30:], short["timestamps"][-30:]
    short["covariates"]["holiday"] = short["covariates"]["holiday"][-30:]
    alone = [predictions(client, {"series": [series]}, model)[0] for series in (short, long)]
    check_alike(predictions(client, {"series": [short, long]}, model), alone)


def test_a_covariate_of_the_future_matters(client: httpx.Client, rows: Rows) -> None:
    usual, holiday = window(rows, CONTEXT), window(rows, CONTEXT)  # a Tuesday
    holiday["future_covariates"]["holiday"] = [1] * HORIZON
    one, other = predictions(client, {"series": [usual, holiday]})
    assert sum(other["mean"]) < 0.95 * sum(one["mean"])


def test_a_zone_has_its_own_calendar(client: httpx.Client, rows: Rows) -> None:
    local = window(rows, CONTEXT)
    begin = local.pop("timestamps")[0]
    zoned = {**local, "start": begin, "timezone": "America/Chicago"}
    in_utc = {**local, "start": "2018-05-01T05:00:00Z", "timezone": "America/Chicago"}
    found = predictions(client, {"series": [{**local, "start": begin}, zoned, in_utc]})
    check_alike(found, [found[0]] * 3)
    assert found[1]["timestamps"][0] == found[2]["timestamps"][0] == "2018-05-08T00:00:00-05:00"


def test_the_example_of_each_model_is_answered(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for model in MODELS:
        content = paths[f"/v1/models/{model}/predict"]["post"]["requestBody"]["content"]
        example = content["application/json"]["examples"]["example"]["value"]
        (found,) = predictions(client, example, model)
        assert len(found["timestamps"]) == 6


def changed(request: Json, path: str, value: Any) -> Json:
    """A copy with one field changed; None takes it away."""
    found = copy.deepcopy(request)
    *way, last = path.split(".")
    place: Any = found
    for key in way:
        place = place[int(key) if key.isdigit() else key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return found


BAD = [
    ("series", [], 422, "series"),
    ("series", None, 400, "series"),
    ("series.0.values", None, 400, "series[0].values"),
    ("series.0.values", ["1"], 400, "series[0].values[0]"),
    ("series.0.values", [], 422, "series[0].values"),
    ("series.0.values", [1.0] * 20, 422, "series[0].values"),
    ("series.0.start", "noon", 422, "series[0].start"),
    ("series.0.start", None, 422, "series[0].timestamps"),
    ("series.0.timestamps", ["2018-05-08"], 422, "series[0].timestamps"),
    ("series.0.frequency", "30min", 422, "series[0].frequency"),
    ("series.0.timezone", "Mars", 422, "series[0].timezone"),
    ("series.0.covariates", {}, 422, "series[0].covariates.holiday"),
    ("series.0.future_covariates.rain", [0] * 6, 422, "series[0].future_covariates.rain"),
    ("series.0.colour", "red", 400, "series[0].colour"),
    ("horizon", 0, 422, "horizon"),
    ("horizon", 25, 422, "horizon"),
    ("horizon", 5, 422, "series[0].future_covariates.holiday"),
    ("quantiles", [0.5, 0.95], 422, "quantiles[1]"),
    ("quantiles", [0.5] * 101, 422, "quantiles"),
    ("timeout_s", 0, 400, "timeout_s"),
]


@pytest.mark.parametrize(("path", "value", "status", "field"), BAD)
def test_what_is_wrong_is_named(
    client: httpx.Client, path: str, value: Any, status: int, field: str
) -> None:
    assert ask(client, EXAMPLE).status_code == 200
    response = ask(client, changed(EXAMPLE, path, value))
    assert response.status_code == status, response.text
    assert response.json()["field"] == field
    assert field in response.json()["error"]


def test_nan_in_json_is_named(client: httpx.Client) -> None:
    body = json.dumps(EXAMPLE).replace("null", "NaN")
    response = client.post("/v1/models/traffic-gru/predict", content=body, headers={
        "Content-Type": "application/json"
    })  # fmt: skip
    assert response.status_code == 400
    assert response.json()["field"] == "series[0].values[24]"


# KServe


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


def test_kserve_without_quantiles_and_compressed(client: httpx.Client) -> None:
    request = changed(KSERVE_EXAMPLE, "options.quantiles", None)
    body = gzip.compress(json.dumps({**request, "metadata": {"trace": 1}}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = client.post("/v1/timeseries/forecast", content=body, headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["outputs"][0]["content"][0]["quantiles"] is None


KSERVE_BAD = [
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


@pytest.mark.parametrize(("path", "value", "status", "field"), KSERVE_BAD)
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


# the document's examples

TEXT = (CHECKOUT / "docs" / "forecasting.md").read_text()


@pytest.mark.parametrize(("command", "begin"), [(sys.executable, "import csv"), ("bash", "curl")])
def test_the_examples_of_the_document_are_answered(
    server: Server, command: str, begin: str
) -> None:
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?:    .*\n|\n(?=    ))+", TEXT)]
    (example,) = (block for block in blocks if block.strip().startswith(begin))
    example = example.replace("http://127.0.0.1:8000", server.base_url)
    done = subprocess.run(
        [command, "-c", example], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "came 585" in done.stdout or '"mean_forecast":[' in done.stdout
