"""What a forecasting bundle says of the series that it reads."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.tasks.settings import TaskSettings

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]

MAX_STEPS = 100_000
MONDAY_S = 4 * 86_400
"""Where weeks begin: 1970-01-01 was a Thursday."""


class Cycle(BaseModel):
    """One cycle of the calendar, as sines and cosines of the wall clock.

    A week begins on Monday, a day at midnight.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    period_s: Positive
    harmonics: Annotated[int, Field(ge=1, le=100)]


class ForecastingSettings(TaskSettings):
    """How series become the graph's steps, and what its outputs are."""

    task: Literal["forecasting"] = "forecasting"
    step_s: Positive
    """Seconds from one step to the next."""
    context: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    """Steps of history that a forecast looks at; what a shorter one lacks is unknown."""
    horizon: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    """Steps ahead at most."""
    min_known: Positive
    """Known values that the context must hold."""
    max_gap: Annotated[int, Field(ge=0)]
    """Unknown steps in a row at most, after the first known one."""
    seasons: list[Positive] = Field(min_length=1)
    """Steps after which a series is like itself, shortest first."""
    cycles: list[Cycle]
    usual: list[float] = Field(min_length=1)
    """The usual value at each step of the longest cycle, in the user's unit; a median."""
    covariates: list[str]
    """What must be known of every step, the future's too."""
    quantiles: list[Share] = Field(min_length=1)
    """Of the graph's outputs; they come after the mean."""
    unit: str = ""

    @model_validator(mode="after")
    def _check(self) -> ForecastingSettings:
        for name in ("seasons", "quantiles"):
            if not all(one < next_one for one, next_one in pairwise(getattr(self, name))):
                raise ValueError(f"{name} must ascend")
        if self.min_known > self.context:
            raise ValueError("min_known is above context")
        if len(set(self.covariates)) < len(self.covariates):
            raise ValueError("a name of covariates is there twice")
        return self

    def phases(self, clock_s: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in `usual` each time of the wall clock is, s since 1970 as if UTC."""
        phases: NDArray[np.int64] = (clock_s - MONDAY_S) // self.step_s % len(self.usual)
        return phases
