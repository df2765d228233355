"""Forecasting: the mean and quantiles of a series' next steps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models import Architecture, architecture_of, build
from models.forecasting import Forecaster
from service.manifest import Inputs, Limits, Outputs, Profile
from service.tasks.forecasting.frequency import Step, read_frequency
from service.tasks.forecasting.settings import Cycle, ForecastingSettings
from service.tasks.forecasting.steps import USUAL, Values, feature_names
from service.tasks.forecasting.times import read_zone
from training.data.frames.dataset import SequenceSet
from training.data.profile import feature_moments, profile_of
from training.data.reading import READING_OPTIONS, DataError, Reading, read_text
from training.data.series.series import Series, SeriesSet, read_series, usual_of
from training.data.series.traffic import LICENCE, NAME, load_traffic
from training.recipe import Recipe
from training.task import Contract, Run, TrainingTask, scores_of
from training.tasks.forecasting.objective import VALIDATE_EVERY, ForecastingObjective, answer
from training.tasks.forecasting.scores import baseline_errors, forecast_scores, naive_error

SHARES = (0.7, 0.1)
"""Of a series, in order of time, to learn from and to validate on; the rest is the test."""
QUANTILES = [tenth / 10 for tenth in range(1, 10)]
DAY = {"period_s": 86_400, "harmonics": 3}
WEEK = {"period_s": 604_800, "harmonics": 3}
SAMPLE = 28
"""Forecasts, a horizon apart, from the test part's beginning: scored for themselves too."""
METRIC = "mae"

HOUR = Step(3_600, "second")
Defaults = dict[str, Any]

HOURLY: Defaults = {"context": 168, "horizon": 24, "seasons": [24, 168], "cycles": [DAY, WEEK]}
"""Of a series without others of its own: a week is looked at, a day forecast."""
DEFAULTS: dict[str, Defaults] = {
    "D": {"context": 56, "horizon": 14, "seasons": [7], "cycles": [WEEK]},
    "W": {"context": 52, "horizon": 8, "seasons": [1], "cycles": []},
    "B": {
        "context": 40,
        "horizon": 10,
        "seasons": [5],
        "cycles": [{"period_steps": 5, "harmonics": 2}],
    },
    "M": {
        "context": 36,
        "horizon": 12,
        "seasons": [12],
        "cycles": [{"period_steps": 12, "harmonics": 3}],
    },
    "Q": {
        "context": 12,
        "horizon": 4,
        "seasons": [4],
        "cycles": [{"period_steps": 4, "harmonics": 1}],
    },
    "Y": {"context": 8, "horizon": 2, "seasons": [1], "cycles": []},
}

LEARNING_RATES = {"transformer": 2e-3}
STEPS = {"hybrid": 400, "transformer": 400, "rnn": 800}


class ForecastingTask(TrainingTask[SeriesSet, ForecastingObjective]):
    """Of one series and what is known of its future."""

    name = "forecasting"

    def load(
        self,
        dataset: str = "",
        file: str = "",
        time: str = "time",
        target: str = "value",
        covariates: list[str] | None = None,
        frequency: str = "h",
        timezone: str | None = None,
        licence: str = "as given by the user",
        **settings: Any,
    ) -> SeriesSet:
        """`dataset = "traffic"`, or a user's CSV `file`; with any of the settings of a forecast.

        Raises:
            ValueError: The series is not as it should be, or too short for its windows.
        """
        if dataset == "traffic":
            return series_set(NAME, LICENCE, load_traffic(), HOUR, ["holiday"], **settings)
        if dataset:
            raise ValueError(f"no data set {dataset!r}; there is traffic")
        steps, columns = read_frequency(frequency), covariates or []
        given = {key: settings.pop(key) for key in READING_OPTIONS if key in settings}
        reading = Reading(**({"header": True} | given))
        text = read_text(file, reading.encoding)
        zone = None if timezone is None else read_zone(timezone)
        series = read_series(text, file, time, target, columns, steps, reading, zone)
        return series_set(Path(file).name, licence, series, steps.step, columns, **settings)

    def default_recipe(self, family: str, data: SeriesSet) -> Recipe:
        """The family's."""
        return Recipe(
            learning_rate=LEARNING_RATES.get(family, 3e-3),
            steps=STEPS.get(family, 600),
            batch_size=64,
            label_smoothing=0.0,
            validation_share=SHARES[1],
        )

    def default_architecture(self, family: str, data: SeriesSet, **sizes: Any) -> dict[str, Any]:
        """The family's own with small sizes, the set's features and outputs."""
        whole = {"hidden_size": 64, "num_layers": 1, **sizes, "head": "per_step"}
        num_features = len(feature_names(data.settings))
        num_outputs = 1 + len(data.settings.quantiles)
        return dataclasses.asdict(architecture_of(family, num_features, num_outputs, **whole))

    def begin(self, run: Run, data: SeriesSet) -> tuple[nn.Module, ForecastingObjective]:
        """A model that standardises and scales with the figures of what it learns from."""
        objective = ForecastingObjective(data)
        model = self.rebuild(run.architecture)
        mean, deviation = feature_moments(learnt_windows(data))
        model.front.mean.copy_(torch.from_numpy(mean))
        model.front.deviation.copy_(torch.from_numpy(deviation))
        model.scale.fill_(objective.scale)
        return model, objective

    def rebuild(self, architecture: dict[str, Any]) -> Forecaster:
        """Of any family."""
        return Forecaster(build(Architecture(**architecture)), USUAL)

    def measure(
        self, model: Forecaster, data: SeriesSet, objective: ForecastingObjective
    ) -> dict[str, Any]:
        """Errors from every origin of the test part."""
        settings, scale = data.settings, naive_error(data)
        origins = {
            "test": data.origins("test"),
            "validation": data.origins("validation"),
            "sample": data.origins("test", settings.horizon)[:SAMPLE],
        }
        scores: dict[str, dict[str, float]] = {}
        for part, firsts in origins.items():
            steps, truth = data.series.windows(settings, firsts)
            answers = answer(model, steps, settings)
            scores[part] = forecast_scores(answers, truth, settings, scale)
        return {
            "metric": METRIC,
            "higher_is_better": False,
            "unit": settings.unit,
            "sequences": {
                "train": len(objective.origins),
                **{part: len(firsts) for part, firsts in origins.items()},
            },
            **scores,
        }

    def baselines(self, data: SeriesSet) -> dict[str, Any]:
        """Errors of simple forecasts."""
        found = baseline_errors(data)
        return {
            "baselines": {name: errors["mae"] for name, errors in found.items()},
            "baselines_rmse": {name: errors["rmse"] for name, errors in found.items()},
        }

    def check(self, data: SeriesSet) -> list[str]:
        """Each part has forecasts with known values to score them by."""
        scored = {part: data.origins(part) for part in ("train", "validation", "test")}
        # what is scored while the model trains, and by itself
        scored["validation"] = data.origins("validation", VALIDATE_EVERY)
        scored["beginning of the test"] = data.origins("test", data.settings.horizon)[:SAMPLE]
        return [
            f"the {name} part has no known value in any of its forecasts: the series is cut by "
            "time, so give one whose values go on"
            for name, origins in scored.items()
            if np.isnan(truth_of(data, origins)).all()
        ]

    def parts(self, data: SeriesSet) -> dict[str, Any]:
        """The series as a whole, which is cut by time."""
        return {"series": data.series}

    def contract(
        self,
        run: Run,
        data: SeriesSet,
        objective: ForecastingObjective,
        model: Forecaster,
        metrics: dict[str, Any],
    ) -> Contract:
        """Steps in, mean and quantiles of each out."""
        settings = data.settings
        return Contract(
            inputs=Inputs(features=feature_names(settings)),
            outputs=Outputs(values=1 + len(settings.quantiles), per_step=True),
            limits=Limits(max_length=settings.context + settings.horizon),
            quality=scores_of(metrics),
            profile=self.profile(data, objective),
            settings=settings,
        )

    def profile(self, data: SeriesSet, objective: ForecastingObjective) -> Profile:
        """Of the training part's windows."""
        return profile_of(learnt_windows(data))

    def settings(self, data: SeriesSet) -> dict[str, Any]:
        """With the forecast's own."""
        return {**super().settings(data), "forecast": data.settings.model_dump()}


def series_set(
    name: str, licence: str, series: Series, step: Step, covariates: list[str], **settings: Any
) -> SeriesSet:
    """The set of a series, cut by time.

    Args:
        name: As published.
        licence: With the credit that it asks for.
        series: The whole.
        step: From one to the next.
        covariates: Names of its covariates.
        settings: Any other of `ForecastingSettings`; where not given, `DEFAULTS` of the step.

    Raises:
        DataError: It is too short for its windows.
    """
    count = len(series.values)
    stops = (round(SHARES[0] * count), round(sum(SHARES) * count))
    given = {**DEFAULTS.get(step.name, HOURLY), "quantiles": QUANTILES, **settings}
    gap = given["context"] // 7
    given = {"min_known": max(gap, 1), "max_gap": gap, **given}
    try:
        num_phases = max((Cycle(**cycle).steps(step) for cycle in given["cycles"]), default=1)
    except ValueError as error:
        raise DataError(f"cycles: {error}") from error
    length = {"step_s": step.seconds} if step.seconds else {"frequency": step.name}
    blank = ForecastingSettings(**length, covariates=covariates, usual=[0.0] * num_phases, **given)
    learnt = slice(stops[0])
    usual = usual_of(series.values[learnt], blank.phases(series.clock_s[learnt]), num_phases)
    data = SeriesSet(
        name=name,
        licence=licence,
        series=series,
        settings=blank.model_copy(update={"usual": usual}),
        stops=stops,
        split="by time: first 70 % learnt from, next 10 % validation, last 20 % test",
    )
    for part in ("train", "validation", "test"):
        if not len(data.origins(part)):
            raise DataError(f"{name}: {count} steps are too few for windows in its {part} part")
    return data


def truth_of(data: SeriesSet, origins: NDArray[np.int64]) -> Values:
    """What came after each origin: (origins, horizon), NaN where unknown."""
    places = data.series.places(data.settings, origins)[:, data.settings.context :]
    truth: Values = data.series.values[places]
    return truth


def learnt_windows(data: SeriesSet) -> SequenceSet:
    """Windows of what is learnt from, a horizon apart, as sequences."""
    origins = data.origins("train", data.settings.horizon)
    steps, _ = data.series.windows(data.settings, origins)
    return SequenceSet([*steps], np.zeros(len(steps), np.int64))
