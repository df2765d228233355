"""What a forecasting bundle says of the series that it reads."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.tasks.forecasting.frequency import MONDAY_S, Clock, Step, read_frequency
from service.tasks.settings import TaskSettings

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]

MAX_STEPS = 100_000


class Cycle(BaseModel):
    """One cycle of the calendar, as sines and cosines of the wall clock.

    A week begins on Monday, a day at midnight, a year of months with January.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    period_s: Positive | None = None
    period_steps: Annotated[int, Field(ge=3)] | None = None
    """Instead, as 12 for the year of a monthly series."""
    harmonics: Annotated[int, Field(ge=1, le=100)]

    @model_validator(mode="after")
    def _check(self) -> Cycle:
        if (self.period_s is None) == (self.period_steps is None):
            raise ValueError("give either period_s or period_steps")
        if self.period_steps and 2 * self.harmonics >= self.period_steps:
            most = (self.period_steps - 1) // 2
            raise ValueError(f"a cycle of {self.period_steps} steps has {most} harmonics at most")
        return self

    @property
    def name(self) -> str:
        """In the names of features."""
        return f"{self.period_steps}steps" if self.period_steps else f"{self.period_s}s"

    def steps(self, step: Step) -> int:
        """How many steps it has.

        Raises:
            ValueError: No whole number.
        """
        if self.period_steps:
            return self.period_steps
        seconds, period_s = step.seconds, self.period_s or 0
        if seconds is None:
            raise ValueError(f"cycles of a series of {step.unit}s are in steps: give period_steps")
        if period_s % seconds:
            raise ValueError(f"the cycle of {period_s} s is no multiple of the step, {seconds} s")
        return period_s // seconds

    def turns(self, clock_s: Clock, step: Step) -> NDArray[np.float64]:
        """How much of it has passed at each time of the wall clock, s since 1970 as if UTC."""
        passed, period = clock_s - MONDAY_S, self.period_s
        if not period:
            passed, period = step.units(clock_s) // step.count, self.period_steps or 1
        turns: NDArray[np.float64] = passed % period / period
        return turns


class ForecastingSettings(TaskSettings):
    """How series become the graph's steps, and what its outputs are."""

    task: Literal["forecasting"] = "forecasting"
    step_s: Positive | None = None
    """Seconds from one step to the next."""
    frequency: str | None = None
    """Instead, of a series whose steps have no fixed length: such as `M`, `Q`, `Y` or `B`."""
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
        if (self.step_s is None) == (self.frequency is None):
            raise ValueError("give either step_s or a frequency")
        if self.step.seconds is None:
            for cycle in self.cycles:
                cycle.steps(self.step)
        for name in ("seasons", "quantiles"):
            if not all(one < next_one for one, next_one in pairwise(getattr(self, name))):
                raise ValueError(f"{name} must ascend")
        if self.min_known > self.context:
            raise ValueError("min_known is above context")
        if len(set(self.covariates)) < len(self.covariates):
            raise ValueError("a name of covariates is there twice")
        return self

    @property
    def step(self) -> Step:
        """From one of the series to the next."""
        if self.step_s:
            return Step.of_seconds(self.step_s)
        return read_frequency(self.frequency or "").step

    def phases(self, clock_s: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in `usual` each time of the wall clock is, s since 1970 as if UTC."""
        phases: NDArray[np.int64] = self.step.units(clock_s) // self.step.count % len(self.usual)
        return phases
