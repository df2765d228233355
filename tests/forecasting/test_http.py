"""Forecasts over HTTP: scores as measured, each bad field named, the document's examples."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import textwrap
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.forecasting.asking import EXAMPLE, Json, ask, changed, check_alike, predictions
from tests.servers import CHECKOUT, REPOSITORY, Server

MODELS = sorted(path.name for path in REPOSITORY.glob("traffic-*"))
EXPLAINING = {"traffic-hybrid", "traffic-transformer"}
CONTEXT, HORIZON, FORECASTS = 168, 24, 28
QUANTILES = [tenth / 10 for tenth in range(1, 10)]
every_model = pytest.mark.parametrize("model", MODELS)

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
    measured = json.loads((REPOSITORY / model / "1" / "metrics.json").read_text())["sample"]
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
    assert said["quality"]["beaten_by"] == []


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


BAD: list[tuple[str, Any, int, str]] = [
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


PATHS = sorted({path for path, *_ in BAD if path != "timeout_s"})
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)
TIMES = st.datetimes().map(str) | st.sampled_from(["0002-01-01", "7999-12-31T23:00-12:00", "Z"])
ANYTHING = JSON | TIMES | st.lists(st.floats(-1e31, 1e31) | st.none(), max_size=50)


@given(st.sampled_from(PATHS), ANYTHING)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_in_any_field_is_the_servers_fault(
    client: httpx.Client, path: str, value: Any
) -> None:
    response = ask(client, changed(EXAMPLE, path, value))
    assert response.status_code in (200, 400, 422), response.text
    if response.status_code != 200:
        assert response.json()["field"]


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
