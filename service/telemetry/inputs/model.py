"""What one model is given: a sample of answered jobs, looked at off the event loop."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from service import native
from service.manifest import Manifest
from service.telemetry.inputs.bins import (
    bins_of_quantiles,
    counted,
    edges_and_shares,
)
from service.telemetry.inputs.metrics import InputMetrics
from service.telemetry.inputs.window import Window

MAX_NAMES = 64
"""Features, or labels, with a series of their own."""
OTHERS = "(others)"
MAX_STEPS = 4_096  # of one look; of more, so many at even distances
MAX_LENGTHS = 4_096  # of decoders' inputs, kept for one look

Floats = NDArray[np.float32]


class ModelInputs:
    """Looks at what one precision of a model is given.

    Args:
        metrics: The server's.
        labels: The model's.
        manifest: What the model learnt from, and how its tensors are to be read.
        share: Of the jobs, to be looked at.
        window: Sequences that drift is told over.
    """

    def __init__(
        self,
        metrics: InputMetrics,
        labels: Sequence[str],
        manifest: Manifest,
        share: float,
        window: int,
    ) -> None:
        self.sampler = native.Sampler(share)
        self._metrics, self._labels = metrics, labels
        self._noted: deque[int] = deque(maxlen=MAX_LENGTHS)
        profile, outputs = manifest.profile, manifest.outputs
        self._features = manifest.inputs.features
        self._names = list(outputs.labels) if manifest.task != "transcription" else []
        self._per_step = outputs.per_step
        bins = profile.length_bins or bins_of_quantiles(profile.length_quantiles)
        self._lengths: Window | None = None
        if bins is not None:
            self._length_edges, shares = edges_and_shares([bins])
            self._lengths = Window(shares, window)
        self._values: Window | None = None
        if profile.feature_bins:
            self._edges, shares = edges_and_shares(profile.feature_bins)
            self._values = Window(shares, window)
        self._ranges = np.array(profile.feature_ranges, dtype=np.float32)

    def note_lengths(self, lengths: Iterable[int]) -> None:
        """Note how long what a decoder reads is; its jobs do not say."""
        self._noted.extend(lengths)

    def look(self) -> None:
        """Count what was kept since the last look; by one thread."""
        jobs = self.sampler.take()
        lengths = [length for job in jobs for length in job.lengths]
        while self._noted:
            lengths.append(self._noted.popleft())
        if not lengths:
            return
        self._metrics.sequences.labels(*self._labels).inc(len(lengths))
        self._look_at_lengths(np.array(lengths))
        if self._features:
            self._look_at_values(jobs)
        if self._names:
            self._look_at_answers(jobs)

    def forget(self) -> None:
        """The model serves no more: it has no drift either."""
        self._metrics.length_stability.labels(*self._labels).set(0)
        for name in self._shown_features():
            self._metrics.stability.labels(*self._labels, name).set(0)

    def _look_at_lengths(self, lengths: NDArray[np.int64]) -> None:
        histogram = self._metrics.length.labels(*self._labels)
        for length in lengths.tolist():
            histogram.observe(length)
        if self._lengths is None:
            return
        self._lengths.add(counted(lengths[:, None], self._length_edges), len(lengths))
        if (index := self._lengths.stability()) is not None:
            self._metrics.length_stability.labels(*self._labels).set(float(index[0]))

    def _look_at_values(self, jobs: list[native.Job]) -> None:
        width = len(self._features)
        found = [job.steps(4 * width).view(np.float32) for job in jobs]
        steps: Floats = np.concatenate(found) if found else np.empty((0, width), np.float32)
        steps = steps[:: -(-len(steps) // MAX_STEPS) or 1]
        if len(self._ranges):
            self._count_ranges(steps)
        if self._values is None or not len(steps):
            return
        num_sequences = sum(job.num_sequences for job in jobs)
        self._values.add(counted(steps, self._edges), num_sequences)
        if (index := self._values.stability()) is not None:
            for name, value in zip(self._shown_features(), _bounded(index), strict=True):
                self._metrics.stability.labels(*self._labels, name).set(value)

    def _count_ranges(self, steps: Floats) -> None:
        below = int((steps < self._ranges[:, 0]).sum())
        above = int((steps > self._ranges[:, 1]).sum())
        counts = {"below": below, "above": above, "inside": steps.size - below - above}
        for name, count in counts.items():
            self._metrics.values.labels(*self._labels, name).inc(count)

    def _look_at_answers(self, jobs: list[native.Job]) -> None:
        counts: Counter[str] = Counter()
        for job in jobs:
            logits = np.frombuffer(job.outputs[0], np.float32).reshape(-1, len(self._names))
            for label, count in Counter(logits.argmax(axis=1).tolist()).items():
                counts[self._names[label] if label < MAX_NAMES else OTHERS] += count
        for name, count in counts.items():
            self._metrics.predictions.labels(*self._labels, name).inc(count)

    def _shown_features(self) -> list[str]:
        if self._values is None:
            return []
        rest = [OTHERS] if len(self._features) > MAX_NAMES else []
        return self._features[:MAX_NAMES] + rest


def _bounded(index: NDArray[np.float64]) -> list[float]:
    """Of each feature that has a series; of all others together the largest."""
    rest = [float(index[MAX_NAMES:].max())] if len(index) > MAX_NAMES else []
    values: list[float] = index[:MAX_NAMES].tolist()
    return values + rest
