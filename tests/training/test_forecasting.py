"""Forecasting's training: files read, losses and scores against NumPy, a made series learnt."""

from __future__ import annotations

import calendar
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import torch

from service.tasks.forecasting.frequency import read_frequency
from service.tasks.forecasting.timeline import regular
from service.tasks.forecasting.times import read_time, wall_s
from tests.forecasting.made import make_settings
from tests.servers import CHECKOUT, serving
from training.data.reading import DataError
from training.data.series.series import SeriesSet, read_series
from training.data.series.traffic import find_archive, load_traffic, with_holidays
from training.export.bundle import export_run
from training.recipe import Recipe
from training.recipe_file import RecipeFile
from training.run import train_run
from training.task import Run
from training.tasks.forecasting.objective import MEAN_WEIGHT, forecast_loss, take_away
from training.tasks.forecasting.scores import forecast_scores
from training.tasks.forecasting.task import ForecastingTask

DAYS = 40
HEAD = "time,value,promotion"


def write_series(path: Path, num_days: int = DAYS) -> Path:
    """Every 6 hours; a promotion adds 10, which nothing but the covariate tells beforehand."""
    random = np.random.default_rng(0)
    lines = [HEAD]
    for step in range(4 * num_days):
        promotion = int(random.random() < 0.3)
        value = 20 + 5 * (step % 4) + 10 * promotion + random.normal(0, 0.5)
        time = np.datetime64("2024-01-01T00") + np.timedelta64(6 * step, "h")
        lines.append(f"{time}:00,{'' if step % 17 == 3 else round(value, 3)},{promotion}")
    del lines[50]  # a step left out
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_made_series_is_learnt_with_its_covariate(tmp_path: Path) -> None:
    task = ForecastingTask()
    data = task.load(
        file=str(write_series(tmp_path / "shop.csv")),
        covariates=["promotion"],
        frequency="6h",
        context=8,
        horizon=4,
        min_known=2,
        max_gap=2,
        seasons=[4],
        cycles=[{"period_s": 86_400, "harmonics": 1}],
        quantiles=[0.1, 0.5, 0.9],
    )
    assert len(data.series.values) == 4 * DAYS
    assert np.isnan(data.series.values[49])
    architecture = task.default_architecture("gru", data, hidden_size=16)
    recipe = Recipe(learning_rate=2e-2, steps=150, batch_size=16, evaluate_every=50)
    metrics = train_run(
        Run("shop-gru", "forecasting", architecture, recipe, 0), data, tmp_path / "run"
    )
    baselines = metrics["baselines"]
    assert metrics["test"]["mae"] < 0.5 * baselines["median at that time"]
    assert metrics["test"]["mae"] < 0.5 * baselines["seasonal naive, 4 steps"]
    assert metrics["sequences"]["sample"] == 8
    assert 0.5 < metrics["test"]["coverage_80"] <= 1


def monthly(path: Path, num_years: int = 12) -> Path:
    """Like passengers of an airline, at months' ends: they grow, each year has its summer."""
    lines = ["month,passengers"]
    for place in range(12 * num_years):
        year, month = 2010 + place // 12, place % 12 + 1
        last_day = calendar.monthrange(year, month)[1]
        value = 100 * 1.01**place * (1 + 0.3 * math.sin(math.pi * (month - 4) / 6))
        lines.append(f"{year}-{month:02}-{last_day},{value:.2f}")
    del lines[30]  # a month left out
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_monthly_series_is_forecast_by_the_calendar(tmp_path: Path) -> None:
    recipe = RecipeFile(
        name="passengers",
        task="forecasting",
        family="gru",
        data={"file": str(monthly(tmp_path / "air.csv")), "time": "month"}
        | {"target": "passengers", "frequency": "ME", "context": 24},
        architecture={"hidden_size": 16},
        fit={"steps": 80, "batch_size": 16, "evaluate_every": 40, "learning_rate": 1e-2},
    )
    data: SeriesSet = recipe.load()  # type: ignore[assignment]
    assert np.flatnonzero(np.isnan(data.series.values)).tolist() == [29]
    assert (data.settings.seasons, data.settings.horizon, len(data.settings.usual)) == (
        [12],
        12,
        12,
    )
    metrics = train_run(recipe.run(data, 0), data, tmp_path / "run")
    baselines = metrics["baselines"]
    assert baselines["seasonal naive, 12 steps"] < baselines["median at that time"]
    export_run(tmp_path / "run", tmp_path / "repository")
    known = np.flatnonzero(~np.isnan(data.series.values[:132]))
    ends = [f"{time}" for time in data.series.clock_s.astype("datetime64[s]")]
    series = {
        "values": data.series.values[known].tolist(),
        "timestamps": [ends[place] for place in known],
        "frequency": "M",
    }
    expected = [
        "2021-01-31", "2021-02-28", "2021-03-31", "2021-04-30", "2021-05-31", "2021-06-30",
        "2021-07-31", "2021-08-31",
        "2021-09-30", "2021-10-31", "2021-11-30", "2021-12-31",
    ]  # fmt: skip
    with serving(tmp_path / "repository") as server:
        told = server.client.get("/v1/models").json()["models"][0]
        answer = server.client.post("/v1/models/passengers/predict", json={"series": [series]})
        (forecast,) = answer.json()["predictions"]
        kserve = server.client.post(
            "/v1/timeseries/forecast",
            json={
                "model": "passengers",
                "inputs": [
                    {"type": "univariate_time_series", "name": "air", "frequency": "M"}
                    | {"series": series["values"][30:], "start_timestamp": ends[known[30]]}
                ],
                "options": {"horizon": 12},
            },
        ).json()
    assert told["frequency"] == "M"
    assert [stamp[:10] for stamp in forecast["timestamps"]] == expected
    truth = data.series.values[132:]
    assert np.corrcoef(forecast["mean"], truth)[0, 1] > 0.8  # the summer is where it was
    (told_by_kserve,) = kserve["outputs"][0]["content"]
    assert told_by_kserve["start_timestamp"] == forecast["timestamps"][0]
    assert told_by_kserve["mean_forecast"] == pytest.approx(forecast["mean"], rel=1e-4)


CALENDARS = {
    "Q": (["2020-03-31", "2020-06-30", "2020-09-30", "2020-12-31"], [4]),
    "Y": (["2020-12-31", "2021-12-31", "2022-12-31", "2023-12-31"], [1]),
    "B": (["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"], [5]),
}


@pytest.mark.parametrize("frequency", CALENDARS)
def test_each_calendar_has_its_own_season(tmp_path: Path, frequency: str) -> None:
    stamps, seasons = CALENDARS[frequency]
    path = tmp_path / "own.csv"
    timeline = regular([read_time(stamps[0])], read_frequency(frequency).step)
    times = [timeline.at(step).date().isoformat() for step in range(160)]
    assert times[:4] == stamps
    path.write_text("time,value\n" + "".join(f"{time},{time[5:7]}\n" for time in times))
    data = ForecastingTask().load(file=str(path), frequency=frequency)
    assert data.settings.seasons == seasons
    assert len(data.settings.usual) == seasons[0]
    assert data.settings.step.name == frequency
    steps, _ = data.series.windows(data.settings, data.origins("test"))
    assert np.isfinite(steps).all()
    if frequency == "Q":
        assert sorted(data.settings.usual) == [3, 6, 9, 12]


def test_the_loss_is_pinball_and_a_bit_of_the_mean() -> None:
    random = np.random.default_rng(0)
    answers, truth = random.normal(size=(2, 3, 4)), random.normal(size=(2, 3))
    truth[0, 1] = np.nan
    levels = [0.1, 0.5, 0.9]
    total = 0.0
    for row, step in np.argwhere(~np.isnan(truth)):
        target, (mean, *quantiles) = truth[row, step], answers[row, step].tolist()
        errors = [
            level * (target - q) if target > q else (1 - level) * (q - target)
            for level, q in zip(levels, quantiles, strict=True)
        ]
        total += 2 * sum(errors) / 3 + MEAN_WEIGHT * (target - mean) ** 2
    found = forecast_loss(torch.tensor(answers), torch.tensor(truth), torch.tensor(levels))
    assert float(found) == pytest.approx(total / 5)


def test_scores_are_over_known_values_only() -> None:
    answers = np.array([[[12.0, 9.0, 10.0, 12.0], [0.0, 1.0, 2.0, 3.0]]])
    truth = np.array([[[13.0, np.nan]]])[0]
    scores = forecast_scores(answers, truth, make_settings(), naive_error=2.0)
    pinball = (0.1 * 4 + 0.5 * 3 + 0.9 * 1) / 3
    assert scores == pytest.approx(
        {"mae": 3, "mae_of_mean": 1, "rmse": 1, "mase": 1.5, "pinball": pinball, "coverage_80": 0}
    )


def test_what_is_taken_away_leaves_what_the_model_needs() -> None:
    settings = make_settings(context=20, max_gap=3, min_known=4)
    taken = []
    for seed in range(300):
        known = np.ones(20)
        take_away(known, settings, np.random.default_rng(seed))
        unknown = np.isnan(known)
        assert (~unknown).sum() >= 4 - 3  # a gap may fall into what a short history has
        taken.append(int(unknown.sum()))
    assert min(taken) == 0
    assert max(taken) > 3


BAD = [
    ("time,value\n", "no column 'promotion'"),
    (f"{HEAD}\n", "no rows"),
    (f"{HEAD}\nsoon,1,0\n", "line 2, time: 'soon'"),
    (f"{HEAD}\n2024-01-01,many,0\n", "line 2, value: 'many' is no number"),
    (f"{HEAD}\n2024-01-01,inf,0\n", "line 2, value: the value is infinite"),
    (f"{HEAD}\n2024-01-01,1,\n", "line 2, promotion: '' is no number"),
    (f"{HEAD}\n2024-01-01,1,nan\n", "line 2, promotion: the value is not known"),
    (f"{HEAD}\n2024-01-02,1,0\n2024-01-01,1,0\n", "line 3, time: .* is before the one before it"),
    (f"{HEAD}\n2024-01-01,1,0\n2024-01-01,1,0\n", "line 3, time: .* is there twice"),
    (f"{HEAD}\n2024-01-01,1,0\n2024-01-01T01:00,1,0\n", "line 3, time: .* no multiple of the step"),
]


@pytest.mark.parametrize(("text", "problem"), BAD)
def test_a_bad_file_is_refused_by_place(text: str, problem: str) -> None:
    with pytest.raises(DataError, match=f"shop.csv.*{problem}"):
        read_series(text, "shop.csv", "time", "value", ["promotion"], read_frequency("6h"))


def test_a_recipes_timezone_is_whose_clock_the_calendar_is_read_off(tmp_path: Path) -> None:
    """Ten days of hours around the one of 25, as a meter in Berlin wrote them down."""
    begin = datetime(2024, 10, 22, tzinfo=UTC)
    zone = ZoneInfo("Europe/Berlin")
    walls = [
        (begin + timedelta(hours=step)).astimezone(zone).replace(tzinfo=None) for step in range(240)
    ]
    path = tmp_path / "meter.csv"
    lines = [f"{wall.isoformat()},{wall.hour}\n" for wall in walls]
    path.write_text("time,value\n" + "".join(lines))
    settings: dict[str, Any] = {"context": 24, "horizon": 6, "seasons": [24]}
    settings["cycles"] = [{"period_s": 86_400, "harmonics": 1}]
    data = ForecastingTask().load(file=str(path), timezone="Europe/Berlin", **settings)
    assert data.series.clock_s.tolist() == [wall_s(wall) for wall in walls]
    assert data.series.values.tolist() == [wall.hour for wall in walls]
    with pytest.raises(DataError, match=r"meter.csv, line \d+, time: .* is there twice; if clocks"):
        ForecastingTask().load(file=str(path), **settings)
    path.write_text("time,value\n2024-03-31T01:00:00,1\n2024-03-31T02:00:00,2\n")
    with pytest.raises(DataError, match=r"line 3, time: .* does not exist in Europe/Berlin"):
        ForecastingTask().load(file=str(path), timezone="Europe/Berlin", **settings)
    with pytest.raises(ValueError, match="'Mars' is no time zone"):
        ForecastingTask().load(file=str(path), timezone="Mars", **settings)


def test_a_series_too_short_for_its_windows_is_refused(tmp_path: Path) -> None:
    path = write_series(tmp_path / "shop.csv", num_days=20)
    with pytest.raises(DataError, match="too few for windows in its validation part"):
        ForecastingTask().load(file=str(path), frequency="6h", context=8, horizon=12, seasons=[4])
    with pytest.raises(ValueError, match="no data set 'weather'"):
        ForecastingTask().load(dataset="weather")


def test_the_committed_sample_is_as_the_loader_writes_it() -> None:
    text = (CHECKOUT / "examples" / "traffic.csv").read_text()
    series = read_series(text, "traffic.csv", "time", "cars", ["holiday"], read_frequency("h"))
    assert len(series.values) == 168 + 28 * 24
    published = "\n".join(
        ["datetime,traffic_volume", *(row.rsplit(",", 1)[0] for row in text.splitlines()[1:])]
    )
    assert with_holidays(published.replace("T", " ")) == text


def test_another_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQSERVE_DATA_DIR", str(tmp_path))
    (tmp_path / "traffic_hourly.zip").write_bytes(b"other")
    assert find_archive() == tmp_path / "traffic_hourly.zip"
    with pytest.raises(ValueError, match="sha256"):
        load_traffic()
