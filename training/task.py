"""What training must know of a task: its data, models, objective, scores and contract."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from torch import nn

from service.manifest import Inputs, Limits, Outputs, Profile, Quality, Scores
from service.manifest.settings import Settings
from service.tasks.features import LogMel
from service.tasks.settings import TaskName
from training.fit.objective import Objective
from training.recipe import Recipe


class Data(Protocol):
    """A data set of any task, already split; its test part is touched once."""

    @property
    def name(self) -> str:
        """As published."""

    @property
    def licence(self) -> str:
        """Of the data, with the credit that it asks for."""

    @property
    def split(self) -> str:
        """How train and test were parted, in words."""


D = TypeVar("D", bound=Data)
O = TypeVar("O", bound=Objective)  # noqa: E741 - as D


@dataclasses.dataclass(frozen=True)
class Run:
    """What decides a run's result; two runs with equal ones have equal weights."""

    name: str
    """Of the bundle it may become."""
    task: TaskName
    architecture: dict[str, Any]
    """With its `family`; the rest is the task's own."""
    recipe: Recipe
    seed: int


@dataclasses.dataclass(frozen=True)
class Contract:
    """What a manifest says of a model, but for its graph and where it comes from."""

    inputs: Inputs
    outputs: Outputs
    limits: Limits
    quality: Quality | Scores
    profile: Profile
    settings: Settings | None = None
    audio: LogMel | None = None
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    """What lies beside the graph, such as vocabularies."""


class TrainingTask(ABC, Generic[D, O]):
    """One task."""

    name: ClassVar[TaskName]
    own_options: ClassVar[frozenset[str]] = frozenset()
    """Keys of `[data]` that mean as much for a user's `train`, `valid` and `test` files."""

    @abstractmethod
    def load(self, **data: Any) -> D:
        """The data set that a recipe's `[data]` table describes.

        Raises:
            ValueError: It is not as it should be; TypeError: it knows no such key.
        """

    @abstractmethod
    def default_recipe(self, family: str, data: D) -> Recipe:
        """How to train a family on this set unless told otherwise."""

    @abstractmethod
    def default_architecture(self, family: str, data: D, **sizes: Any) -> dict[str, Any]:
        """The whole architecture of a family for this set, with these sizes where given.

        Raises:
            ValueError: No such family or size.
        """

    @abstractmethod
    def begin(self, run: Run, data: D) -> tuple[nn.Module, O]:
        """A new model, from torch's generator, and what it is to do."""

    @abstractmethod
    def rebuild(self, architecture: dict[str, Any]) -> nn.Module:
        """A model of this architecture, whose weights are to be loaded."""

    @abstractmethod
    def measure(self, model: Any, data: D, objective: O) -> dict[str, Any]:
        """All scores for `metrics.json`; the one place that looks at the test part.

        At least `metric`, the name of the chief one, `higher_is_better`, `test` and `validation`
        (scores by name, the chief one in both) and `sequences` (how many each part has).
        """

    @abstractmethod
    def baselines(self, data: D) -> dict[str, Any]:
        """For `metrics.json` too: `baselines`, the chief metric on the test part of what a model

        must beat, by name; and what else is known of them.
        """

    def check(self, data: D) -> list[str]:
        """What keeps the data from being learnt from or scored on.

        Returns:
            A sentence each, with the part and what to do; all there are, not the first one alone.
        """
        return [
            f"the {name} part is empty: give it sequences"
            for name, part in self.parts(data).items()
            if not len(part)
        ]

    def rehearse(self, model: Any, data: D, objective: O) -> dict[str, Any]:
        """What `measure` gives, of a model that has learnt nothing; cheaper where that is slow."""
        return self.measure(model, data, objective)

    @abstractmethod
    def contract(
        self, run: Run, data: D, objective: O, model: Any, metrics: dict[str, Any]
    ) -> Contract:
        """What the bundle's manifest is to say."""

    @abstractmethod
    def profile(self, data: D, objective: O) -> Profile:
        """What the training inputs look like."""

    def parts(self, data: D) -> dict[str, Any]:
        """What is learnt from, validated on and scored, by name, for its digests.

        A part for validation that is drawn from the training part has none of its own.
        """
        names = ("train", "validation", "test")
        return {name: getattr(data, name) for name in names if hasattr(data, name)}

    def settings(self, data: D) -> dict[str, Any]:
        """What of the data decides a run's result, to tell a resumed run from another."""
        return {"dataset": data.name, "split": data.split}

    def draw(self, folder: Path, data: D, metrics: dict[str, Any]) -> None:
        """Write pictures of the scores, if the task has any."""


def scores_of(metrics: dict[str, Any]) -> Scores:
    """The scores of a run, as a manifest holds them."""
    return Scores(
        metric=metrics["metric"],
        higher_is_better=metrics["higher_is_better"],
        metrics={k: v for k, v in metrics["test"].items() if isinstance(v, int | float)},
        baselines=metrics["baselines"],
        test_sequences=metrics["sequences"]["test"],
        seeds=metrics["seeds"],
    )
