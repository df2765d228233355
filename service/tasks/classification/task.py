"""Classification of frames: labels with probabilities, and which steps they hang on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from service.errors import InvalidRequestError
from service.graphs.model import Arrays
from service.tasks.classification.occlusion import importances, with_occluded
from service.tasks.classification.ranking import (
    MAX_TOP_K,
    Prediction,
    classify,
    probabilities_of,
)
from service.tasks.frames import FramesRequest, FramesTask, example_frames
from service.tasks.task import Work


class ClassificationRequest(FramesRequest, kw_only=True):
    """Sequences to label."""

    top_k: Annotated[int, Meta(description="labels to list in `top`, likeliest first")] = 1


class Classification(FramesTask):
    """Names the likeliest labels of each sequence."""

    request = ClassificationRequest
    prediction = Prediction
    example = {  # noqa: RUF012 - each model has its own in the end
        "sequences": [example_frames(3), example_frames(2)],
        "top_k": 3,
        "explain": True,
    }

    def check(self, request: ClassificationRequest) -> None:
        """Refuse a top_k out of its range."""
        check_top_k(request.top_k)

    def predict(
        self, request: ClassificationRequest, results: Arrays, length: int
    ) -> dict[str, Any]:
        """The labels of one sequence."""
        names = self.manifest.outputs
        prediction: dict[str, Any] = {
            **classify(results[names.logits], names.labels, request.top_k, names.activation)
        }
        if request.explain:  # null: this family has no attention to show
            weights = results[names.weights][:length] if names.weights else None
            prediction["attention"] = None if weights is None else np.asarray(weights)
        return prediction

    def _work(
        self, request: ClassificationRequest, sequences: Sequence[NDArray[Any]], field: str
    ) -> Work:
        """What is asked; to explain without attention, the occluded copies too."""
        work = super()._work(request, sequences, field)
        if not request.explain or self.manifest.outputs.weights:
            return work
        asked = with_occluded(work.asked, self.manifest.limits.max_length, occlude)
        return work._replace(
            asked=asked, answer=partial(self._explain, work, [*map(len, sequences)])
        )

    def _explain(self, work: Work, lengths: list[int], results: Arrays) -> list[dict[str, Any]]:
        predictions = work.answer(results)
        names = self.manifest.outputs
        values = results[names.logits]
        probabilities = probabilities_of(values.reshape(len(values), -1), names.activation)
        for prediction, importance in zip(
            predictions, importances(probabilities, lengths), strict=True
        ):
            prediction["occlusion"] = importance
        return predictions

    def describe(self) -> dict[str, Any]:
        """Its labels."""
        return {**super().describe(), "labels": self.manifest.outputs.labels}


def occlude(frames: NDArray[Any], window: slice) -> NDArray[Any]:
    """A copy (time, features) that has the mean of all steps in a window's place, or id 0."""
    copy = frames.copy()
    if frames.dtype.kind == "f":
        copy[window] = frames.mean(axis=0, dtype=np.float64)  # a sum of float32 may overflow
    else:
        copy[window] = 0  # ids have no mean
    return copy


def check_top_k(top_k: int) -> None:
    """Refuse a number of labels that no answer lists.

    Raises:
        InvalidRequestError: It is out of its range.
    """
    if not 1 <= top_k <= MAX_TOP_K:
        raise InvalidRequestError(f"top_k must be 1 to {MAX_TOP_K}, not {top_k}", "top_k")
