"""Forecasting: mean and quantiles of each series' next steps, in its own unit."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, NotRequired, TypedDict

import numpy as np
from msgspec import Meta

from service.errors import BundleError, InvalidSequenceError
from service.graphs.model import Arrays
from service.tasks.forecasting.quantiles import interpolate
from service.tasks.forecasting.series import GivenSeries, History, read_history
from service.tasks.forecasting.settings import ForecastingSettings
from service.tasks.forecasting.steps import build_steps, feature_names
from service.tasks.task import Bundle, Request, Task, Work

MAX_QUANTILES = 100


class ForecastingRequest(Request, kw_only=True):
    """Series to go on with."""

    inputs = ("series",)

    series: Annotated[list[GivenSeries], Meta(description="histories; lengths may differ")]
    horizon: Annotated[
        int | None, Meta(description="steps ahead; as many as the model can if left out")
    ] = None
    quantiles: Annotated[
        list[float] | None, Meta(description="such as 0.9; the model's own if left out")
    ] = None


class Forecast(TypedDict):
    """What is said of one series: of each step ahead."""

    timestamps: list[str]
    mean: list[float]
    quantiles: dict[str, list[float]]
    attention: NotRequired[list[float] | None]


def example_of(settings: ForecastingSettings) -> dict[str, Any]:
    """A request of usual values, one of them unknown, from a Monday on."""
    num_steps = min(max(settings.min_known + 1, 2 * settings.seasons[0]), settings.context)
    values: list[float | None] = [
        settings.usual[step % len(settings.usual)] for step in range(num_steps)
    ]
    if settings.max_gap and num_steps > settings.min_known:
        values[num_steps // 2] = None
    horizon = min(settings.horizon, 6)
    series = {
        "start": "2024-01-01T00:00:00",
        "values": values,
        "covariates": {name: [0] * num_steps for name in settings.covariates},
        "future_covariates": {name: [0] * horizon for name in settings.covariates},
    }
    return {"series": [series], "horizon": horizon, "quantiles": settings.quantiles}


class Forecasting(Task):
    """Goes on with series.

    Raises:
        BundleError: The bundle has no settings, or its graph reads or says other things.
    """

    request = ForecastingRequest
    prediction = Forecast

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        settings, manifest = bundle.manifest.settings, bundle.manifest
        if not isinstance(settings, ForecastingSettings):
            raise BundleError("a forecasting bundle has settings")
        if manifest.inputs.features != feature_names(settings):
            raise BundleError(
                f"inputs.features: the settings say {', '.join(feature_names(settings))}"
            )
        if not manifest.outputs.per_step or manifest.outputs.width != 1 + len(settings.quantiles):
            raise BundleError("outputs: a mean and the settings' quantiles, of each step")
        if manifest.limits.max_length < settings.context + settings.horizon:
            raise BundleError("limits.max_length is below the settings' context and horizon")
        self.settings = settings
        self.example = example_of(settings)

    def read(self, request: ForecastingRequest) -> Work:
        """What a decoded body asks."""
        settings = self.settings
        horizon = settings.horizon if request.horizon is None else request.horizon
        if not 1 <= horizon <= settings.horizon:
            raise InvalidSequenceError(
                f"horizon is {horizon}, the model forecasts 1 to {settings.horizon} steps",
                "horizon",
            )
        quantiles = self._quantiles(request.quantiles)
        histories = [
            read_history(given, settings, horizon, f"series[{index}]")
            for index, given in enumerate(request.series)
        ]
        if not histories:  # refused by their number
            return Work([], "series", lambda results: [])
        steps = build_steps(
            settings,
            np.stack([history.values for history in histories]),
            np.stack([history.clock_s for history in histories]),
            np.stack([history.covariates for history in histories]),
        )
        answer = partial(self._answer, histories, quantiles, request.explain)
        given = [value for series in request.series for value in series.values]
        num_missing = sum(value is None for value in given)
        return Work([*steps], "series", answer, num_missing=num_missing, num_items=len(given))

    def describe(self) -> dict[str, Any]:
        """What it takes and gives, but for what is usual."""
        said = self.settings.model_dump(exclude={"task", "usual", "cycles"})
        return {**said, "frequency": self.settings.step.name}

    def _quantiles(self, asked: list[float] | None) -> list[float]:
        trained = self.settings.quantiles
        if asked is None:
            return trained
        if len(asked) > MAX_QUANTILES:
            raise InvalidSequenceError(
                f"quantiles has {len(asked)}, at most {MAX_QUANTILES} are answered", "quantiles"
            )
        for index, quantile in enumerate(asked):
            if not trained[0] <= quantile <= trained[-1]:
                raise InvalidSequenceError(
                    f"quantiles[{index}] is {quantile:g}, "
                    f"the model knows {trained[0]:g} to {trained[-1]:g}",
                    f"quantiles[{index}]",
                )
        return asked

    def _answer(
        self, histories: list[History], quantiles: list[float], explain: bool, results: Arrays
    ) -> list[dict[str, Any]]:
        names, context = self.manifest.outputs, self.settings.context
        ahead = results[names.logits][:, context:]  # (series, horizon, 1 + quantiles)
        bands = interpolate(ahead[:, :, 1:], self.settings.quantiles, quantiles)
        predictions: list[dict[str, Any]] = []
        for row, history in enumerate(histories):
            prediction: dict[str, Any] = {
                "timestamps": [time.isoformat() for time in history.ahead],
                "mean": ahead[row, :, 0].tolist(),
                "quantiles": {
                    str(quantile): bands[row, :, place].tolist()
                    for place, quantile in enumerate(quantiles)
                },
            }
            if explain:  # null: this family has no attention to show
                weights = results[names.weights][row].tolist() if names.weights else None
                prediction["attention"] = weights
            predictions.append(prediction)
        return predictions
