"""From the logits of each step to tags, with or without transitions between them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.tasks.classification.ranking import softmax
from service.tasks.tagging.viterbi import Floats, Ints, Transitions, marginals, viterbi


class Tagging(NamedTuple):
    """The tags of some sentences; what lies past a sentence's length means nothing."""

    tags: Ints  # (batch, time)
    probabilities: Floats  # (batch, time, tags), of every tag at every step
    scores: Floats  # (batch,), of all tags of a sentence together


class Decoder:
    """Names the likeliest tags.

    Args:
        num_tags: How many there are.
        transitions: The file of a bundle's, or None: then each step's tag is its own likeliest.
    Raises:
        BundleError: It is not such a file.
    """

    def __init__(self, num_tags: int, transitions: bytes | None) -> None:
        self.transitions = transitions and Transitions.from_bytes(transitions, num_tags)

    def decode(self, logits: NDArray[np.float32], lengths: NDArray[Any]) -> Tagging:
        """The likeliest tags of each sentence.

        Args:
            logits: float32 (batch, time, tags).
            lengths: (batch,), 1 to time.
        """
        if self.transitions:
            emissions = logits.astype(np.float64)
            tags, scores = viterbi(emissions, lengths, self.transitions)
            probabilities, log_z = marginals(emissions, lengths, self.transitions)
            return Tagging(tags, probabilities, np.exp(scores - log_z))
        probabilities = softmax(logits)
        is_real = np.arange(logits.shape[1]) < lengths[:, None]
        scores = np.where(is_real, probabilities.max(axis=2), 1.0).prod(axis=1)
        return Tagging(probabilities.argmax(axis=2), probabilities, scores)
