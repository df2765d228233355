"""A transcript of one sequence: its labels with times, and how likely they are."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from service.tasks.transcription.ctc import (
    Labels,
    Logs,
    align,
    beam_search,
    greedy,
    log_likelihood,
    log_softmax,
)

DecoderName = Literal["greedy", "beam"]


class Word(TypedDict):
    """One label that is said, and the steps in which the model says it."""

    label: str
    start_s: float
    end_s: float
    probability: float


class Transcript(TypedDict):
    """What is said, and `score`, the logarithm of its probability over all alignments.

    With `explain`: the probability of each label at each step, and the attention that each step
    receives, which sums to 1; null where the model has none.
    """

    text: str
    words: list[Word]
    score: float
    posteriors: NotRequired[list[list[float]]]
    attention: NotRequired[list[float] | None]


def decode(logs: Logs, blank: int, decoder: DecoderName, beam: int) -> Labels:
    """The labels that a decoder finds.

    Args:
        logs: float64 (time, classes), log probabilities.
        blank: The class that says nothing.
        decoder: Of the two in `ctc.py`.
        beam: Prefixes that beam search keeps.
    """
    if decoder == "greedy":
        return greedy(logs, blank)
    return beam_search(logs, beam, blank)[0].labels


def transcribe(
    logits: NDArray[np.float32],
    names: list[str],
    blank: int,
    step_s: float,
    decoder: DecoderName = "greedy",
    beam: int = 10,
    separator: str = " ",
) -> Transcript:
    """What is said in one sequence.

    Args:
        logits: float32 (time, classes).
        names: One a class.
        blank: The class that says nothing.
        step_s: Time from a step to the next, s.
        decoder: How labels are found.
        beam: Prefixes that beam search keeps.
        separator: Between two labels of the text.
    """
    logs = log_softmax(logits)
    labels = decode(logs, blank, decoder, beam)
    words: list[Word] = [
        {
            "label": names[label],
            "start_s": round(start * step_s, 6),
            "end_s": round(end * step_s, 6),
            "probability": float(np.exp(logs[start:end, label].max())),
        }
        for label, (start, end) in zip(labels, align(logs, labels, blank), strict=True)
    ]
    return {
        "text": separator.join(word["label"] for word in words),
        "words": words,
        "score": log_likelihood(logs, labels, blank),
    }
