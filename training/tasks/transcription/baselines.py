"""What a model that writes down recordings must beat.

Where it is known when each label is said: cut where it is quiet, and have logistic regression name
each piece by its mean and deviation. Where only transcripts are known: that of the training
recording which sounds most alike by the same figures, and no text at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from training.data.frames.transcribed import Part, Transcribed
from training.fit.edits import error_rate

Frames = NDArray[np.float32]

THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
"""Between quiet (0) and loud (1); the one that is best on the validation part is taken."""
MIN_GAP_S, MIN_PIECE_S = 0.06, 0.1
MIN_RANGE = 2.0  # nepers between quiet and loud, under which there is only noise


def baseline_error_rates(dataset: Transcribed) -> dict[str, float]:
    """The error rate of each on the test part."""
    if dataset.train.spans_s is not None:
        rate = segmented_error_rate(dataset, dataset.train.spans_s)
        return {"loudness and logistic regression": rate}
    return {
        "transcript of the nearest training recording": nearest_error_rate(dataset),
        "no text": 1.0,
    }


def nearest_error_rate(dataset: Transcribed) -> float:
    """Of repeating the transcript of the training recording that is nearest.

    Nearest by mean and deviation of each band, each in deviations over the training part.
    """
    learnt, asked = (
        np.stack([_summary(frames) for frames in part.frames])
        for part in (dataset.train, dataset.test)
    )
    scaler = StandardScaler().fit(learnt)
    nearest = NearestNeighbors(n_neighbors=1).fit(scaler.transform(learnt))
    places = nearest.kneighbors(scaler.transform(asked), return_distance=False)[:, 0]
    return error_rate([dataset.train.said[place] for place in places], dataset.test.said)


def segmented_error_rate(dataset: Transcribed, spans_s: list[list[tuple[float, float]]]) -> float:
    """Of segmentation by loudness and logistic regression.

    Args:
        dataset: Of which the test part is scored.
        spans_s: Where the labels of each training sequence begin and end, s.
    """
    model = _fitted(dataset, spans_s)
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


def _fitted(dataset: Transcribed, spans_s: list[list[tuple[float, float]]]) -> Pipeline:
    """Logistic regression on the training part's labels, each cut out where it is."""
    pieces, labels = [], []
    for frames, said, placed_s in zip(
        dataset.train.frames, dataset.train.said, spans_s, strict=True
    ):
        for label, span_s in zip(said, placed_s, strict=True):
            start, end = (round(edge * 1_000 / dataset.audio.hop_ms) for edge in span_s)
            pieces.append(_summary(frames[start : max(end, start + 1)]))
            labels.append(label)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
    return model.fit(np.stack(pieces), labels)


def _error_rate(model: Pipeline, part: Part, threshold: float, step_s: float) -> float:
    found: list[list[int]] = []
    for frames in part.frames:
        pieces = loud_pieces(frames, threshold, step_s)
        summaries = [_summary(frames[start:end]) for start, end in pieces]
        found.append(model.predict(np.stack(summaries)).tolist() if pieces else [])
    return error_rate(found, part.said)


def _summary(frames: Frames) -> NDArray[np.float64]:
    """Mean and deviation of each band, of the frames less their loudness: (2 * mels,)."""
    quieter = frames.astype(np.float64) - frames.mean()
    return np.concatenate([quieter.mean(axis=0), quieter.std(axis=0)])
