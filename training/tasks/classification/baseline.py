"""What a model must beat: logistic regression on each sequence's mean and deviation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.data.frames.dataset import Dataset, SequenceSet


def baseline_accuracy(dataset: Dataset) -> float:
    """Accuracy on the test split of a logistic regression fitted to the whole training split."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
    model.fit(_summaries(dataset.train), dataset.train.targets)
    return float(model.score(_summaries(dataset.test), dataset.test.targets))


def _summaries(part: SequenceSet) -> NDArray[np.float64]:
    """Mean and deviation of each feature over time: (count, 2 * features)."""
    wide = (frames.astype(np.float64) for frames in part.sequences)  # float32 sums may overflow
    return np.stack([np.concatenate([frames.mean(axis=0), frames.std(axis=0)]) for frames in wide])
