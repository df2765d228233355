"""What a model of connected words must beat: cut where it is quiet, name each piece.

Pieces are where the sound is loud, and logistic regression names one by its mean and deviation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from training.data.frames.connected import ConnectedDigits, Part
from training.fit.edits import error_rate

Frames = NDArray[np.float32]

THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
"""Between quiet (0) and loud (1); the one that is best on the validation part is taken."""
MIN_GAP_S, MIN_PIECE_S = 0.06, 0.1
MIN_RANGE = 2.0  # nepers between quiet and loud, under which there is only noise


def baseline_error_rate(dataset: ConnectedDigits) -> float:
    """Digit error rate on the test part of segmentation by loudness and logistic regression."""
    model = _fitted(dataset)
    step_s = dataset.audio.hop_ms / 1_000
    rates = [_error_rate(model, dataset.validation, each, step_s) for each in THRESHOLDS]
    return _error_rate(model, dataset.test, THRESHOLDS[int(np.argmin(rates))], step_s)


def loud_pieces(frames: Frames, threshold: float, step_s: float) -> list[tuple[int, int]]:
    """Where it is loud: first step and the one after the last, of each piece.

    Args:
        frames: float32 (time, mels), log powers.
        threshold: Share of the way from quiet to loud.
        step_s: Time from a step to the next, s.
    """
    level = np.convolve(frames.mean(axis=1), np.full(3, 1 / 3), mode="same")
    quiet, loud = np.quantile(level, [0.1, 0.95])
    if loud - quiet < MIN_RANGE:
        return []
    is_loud = np.concatenate([[False], level > quiet + threshold * (loud - quiet), [False]])
    edges = np.flatnonzero(is_loud[1:] != is_loud[:-1])  # begin, end, begin, end
    is_gap = np.append(np.diff(edges)[1::2] * step_s < MIN_GAP_S - 1e-9, False)
    starts = edges[::2][~np.append(False, is_gap[:-1])]
    ends = edges[1::2][~is_gap]
    pieces = zip(starts.tolist(), ends.tolist(), strict=True)
    return [(start, end) for start, end in pieces if (end - start) * step_s > MIN_PIECE_S - 1e-9]


def _fitted(dataset: ConnectedDigits) -> Pipeline:
    """Logistic regression on the training part's digits, each cut out where it is."""
    pieces, digits = [], []
    for frames, said, spans_s in zip(
        dataset.train.frames, dataset.train.digits, dataset.train.spans_s, strict=True
    ):
        for digit, span_s in zip(said, spans_s, strict=True):
            start, end = (round(edge * 1_000 / dataset.audio.hop_ms) for edge in span_s)
            pieces.append(_summary(frames[start : max(end, start + 1)]))
            digits.append(digit)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
    return model.fit(np.stack(pieces), digits)


def _error_rate(model: Pipeline, part: Part, threshold: float, step_s: float) -> float:
    found: list[list[int]] = []
    for frames in part.frames:
        pieces = loud_pieces(frames, threshold, step_s)
        summaries = [_summary(frames[start:end]) for start, end in pieces]
        found.append(model.predict(np.stack(summaries)).tolist() if pieces else [])
    return error_rate(found, part.digits)


def _summary(frames: Frames) -> NDArray[np.float64]:
    """Mean and deviation of each band, of the frames less their loudness: (2 * mels,)."""
    quieter = frames.astype(np.float64) - frames.mean()
    return np.concatenate([quieter.mean(axis=0), quieter.std(axis=0)])
