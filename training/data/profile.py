"""What a training part's inputs look like: for standardisation, and to notice drift later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.manifest import Profile
from service.telemetry.inputs.bins import bins_of
from training.data.frames.dataset import SequenceSet

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def feature_moments(part: SequenceSet) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation (features,) of every feature over all steps.

    A feature that never changes has deviation 1, so that it can be divided by.
    """
    steps = np.concatenate(part.sequences).astype(np.float64)  # (sum of lengths, features)
    mean, deviation = steps.mean(axis=0), steps.std(axis=0)
    # rounding leaves a constant feature a deviation of some 1e-17 of its size, not 0
    deviation[deviation <= 1e-9 * np.abs(mean)] = 1.0
    return mean.astype(np.float32), deviation.astype(np.float32)


def profile_of(part: SequenceSet) -> Profile:
    """How lengths and each feature's values are spread."""
    steps = np.concatenate(part.sequences)
    mean, deviation = feature_moments(part)
    least, greatest = steps.min(axis=0).tolist(), steps.max(axis=0).tolist()
    return length_profile([len(sequence) for sequence in part.sequences]).model_copy(
        update={
            "feature_means": mean.tolist(),
            "feature_deviations": deviation.tolist(),
            "feature_bins": [bins_of(column) for column in steps.T],
            "feature_ranges": list(zip(least, greatest, strict=True)),
        }
    )


def length_profile(lengths: Sequence[int], vocabulary_coverage: float | None = None) -> Profile:
    """How lengths are spread, in steps.

    Args:
        lengths: Of each sequence.
        vocabulary_coverage: Share of the test split's tokens that the vocabulary has, if it has
            one.
    """
    return Profile(
        length_quantiles={str(place): float(np.quantile(lengths, place)) for place in QUANTILES},
        length_bins=bins_of(np.array(lengths)),
        vocabulary_coverage=vocabulary_coverage,
    )
