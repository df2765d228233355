"""Small changes to training sequences under which the class stays the same.

After SpecAugment (Park et al., Interspeech 2019): time warping, masked bands, masked steps; and
for log-mel frames a louder or quieter recording, which is a constant added to every band.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How far each change may go; 0 switches it off."""

    stretch: float = 0.0
    """Up to this share slower or faster."""
    gain: float = 0.0
    """Deviation of the constant added to all features, in their units (nepers of log power)."""
    shift: float = 0.0
    """Up to this many features up or down: of mel bands, another vocal tract."""
    noise: float = 0.0
    """Deviation of white noise, in deviations of each feature."""
    mask_features: float = 0.0
    """Up to this share of neighbouring features replaced by their mean."""
    mask_steps: float = 0.0
    """Up to this share of neighbouring steps replaced by the mean."""


class Augmenter:
    """Applies an `Augmentation`.

    Args:
        settings: How far.
        mean: Of each feature over the training part, (features,).
        deviation: Likewise.
    """

    def __init__(self, settings: Augmentation, mean: Frames, deviation: Frames) -> None:
        self.settings = settings
        self.mean = mean
        self.deviation = deviation

    def __call__(self, frames: Frames, random: np.random.Generator) -> Frames:
        """A changed copy of float32 (time, features); its time may differ."""
        settings = self.settings
        if settings.stretch:
            frames = stretch(frames, 1 + random.uniform(-settings.stretch, settings.stretch))
        if settings.shift:
            frames = shift(frames, random.uniform(-settings.shift, settings.shift))
        frames = frames.copy()
        if settings.gain:
            frames += np.float32(random.normal(0.0, settings.gain))
        if settings.noise:
            white = random.standard_normal(frames.shape, dtype=np.float32)
            frames += np.float32(settings.noise) * self.deviation * white
        if settings.mask_features:
            start, stop = _span(frames.shape[1], settings.mask_features, random)
            frames[:, start:stop] = self.mean[start:stop]
        if settings.mask_steps:
            start, stop = _span(frames.shape[0], settings.mask_steps, random)
            frames[start:stop] = self.mean
        return frames


def stretch(frames: Frames, factor: float) -> Frames:
    """Resample (time, features) to round(time * factor) steps, at least 1, linearly between."""
    num_steps = max(1, round(len(frames) * factor))
    return _interpolate(frames, np.linspace(0, len(frames) - 1, num_steps))


def shift(frames: Frames, places: float) -> Frames:
    """Move each step's features up by `places`, repeating the outermost one: (time, features)."""
    positions = np.arange(frames.shape[1]) - places
    return _interpolate(frames.T, positions.clip(0, frames.shape[1] - 1)).T


def _interpolate(values: Frames, positions: NDArray[np.float64]) -> Frames:
    """Rows of `values` at fractional positions."""
    below = positions.astype(np.int64)
    above = np.minimum(below + 1, len(values) - 1)
    weight = (positions - below).astype(np.float32)[:, None]
    mixed: Frames = values[below] * (1 - weight) + values[above] * weight
    return mixed


def _span(size: int, share: float, random: np.random.Generator) -> tuple[int, int]:
    """Where to mask: start and stop within `size`, at most `share` of it."""
    width = int(random.uniform(0, share) * size + 0.5)
    start = int(random.integers(0, size - width + 1))
    return start, start + width
