"""Classification of each step: labels with probabilities all along a sequence."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from service.graphs.model import Arrays
from service.tasks.classification.ranking import probabilities_of
from service.tasks.frames import FramesRequest, FramesTask
from service.tasks.task import Bundle


class StepClassificationRequest(FramesRequest, kw_only=True):
    """Sequences whose steps are to be labelled."""


class Prediction(TypedDict):
    """The answer to one sequence: a label a step, and how probable it is.

    A model may answer fewer steps than it takes, or more. With `explain`, the probability of each
    label at each step.
    """

    labels: list[str]
    probabilities: list[float]
    posteriors: NotRequired[list[list[float]]]


class StepClassification(FramesTask):
    """Names the likeliest label of each step."""

    request = StepClassificationRequest
    prediction = Prediction
    example = {"explain": False}  # noqa: RUF012 - each model has its own in the end

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        logits = self.manifest.outputs.logits
        self.rule = next(it.rule for it in self.spec.outputs if it.name == logits)

    def check(self, request: StepClassificationRequest) -> None:
        """It has no options of its own."""

    def predict(
        self, request: StepClassificationRequest, results: Arrays, length: int
    ) -> dict[str, Any]:
        """The labels of one sequence's steps."""
        names = self.manifest.outputs
        values = results[names.logits][: self.rule.num_steps(length)]
        probabilities = probabilities_of(values.reshape(len(values), -1), names.activation)
        best = probabilities.argmax(axis=1)
        prediction: dict[str, Any] = {
            "labels": [names.labels[index] for index in best],
            "probabilities": probabilities.max(axis=1),
        }
        if request.explain:
            prediction["posteriors"] = probabilities
        return prediction

    def describe(self) -> dict[str, Any]:
        """Its labels."""
        return {**super().describe(), "labels": self.manifest.outputs.labels}
