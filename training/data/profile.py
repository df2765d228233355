"""What a training part's inputs look like: for standardisation, and to notice drift later."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.manifest import Profile
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
    """Length quantiles in steps, feature means and deviations."""
    lengths = [len(sequence) for sequence in part.sequences]
    mean, deviation = feature_moments(part)
    return Profile(
        length_quantiles={str(place): float(np.quantile(lengths, place)) for place in QUANTILES},
        feature_means=mean.tolist(),
        feature_deviations=deviation.tolist(),
    )
