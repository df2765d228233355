"""Sequence classification: logits to labels with probabilities."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from service.tasks.settings import Activation

MAX_TOP_K = 1_000


class Ranked(TypedDict):
    """One label of several."""

    label: str
    probability: float


class Prediction(TypedDict):
    """The answer to one sequence.

    With `explain`, a number for each of its steps: `attention`, which sums to 1, or null where the
    family has none; then `occlusion`, what the label's probability loses without the steps there.
    """

    label: str
    probability: float
    top: list[Ranked]
    attention: NotRequired[list[float] | None]
    occlusion: NotRequired[list[float]]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities (..., classes) of logits of the same shape."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def probabilities_of(values: NDArray[Any], activation: Activation) -> NDArray[np.float64]:
    """Probabilities (..., classes) of what a graph answers.

    Args:
        values: Numbers (..., classes); or (..., 1), the second's of two classes.
        activation: What makes probabilities of them.
    """
    if activation == "softmax":
        return softmax(values)
    found: NDArray[np.float64] = values.astype(np.float64)
    if activation == "sigmoid":
        found = 0.5 * (1.0 + np.tanh(0.5 * found))  # overflows nowhere
    return np.concatenate([1.0 - found, found], axis=-1) if found.shape[-1] == 1 else found


def classify(
    logits: NDArray[np.float32],
    labels: list[str],
    top_k: int,
    activation: Activation = "softmax",
) -> Prediction:
    """Name the likeliest labels of one sequence.

    Args:
        logits: float32 (classes,); see `probabilities_of`.
        labels: One a class.
        top_k: How many labels `top` lists, likeliest first; all if there are fewer.
        activation: What makes probabilities of the logits.
    """
    top = rank(probabilities_of(np.atleast_1d(logits), activation), labels, top_k)
    return {"label": top[0]["label"], "probability": top[0]["probability"], "top": top}


def rank(probabilities: NDArray[np.float64], labels: list[str], top_k: int) -> list[Ranked]:
    """The likeliest labels of probabilities (classes,), likeliest first."""
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return [{"label": labels[index], "probability": float(probabilities[index])} for index in order]
