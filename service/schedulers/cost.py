"""How long a run takes: seconds by rows and steps, measured at load and kept current.

Two forms are fitted to the measurements, and the one that better predicts points it has not seen
is used: the formula a·B·T² + b·B·T + c·T + d·B + e (attention is why there is a square), and
interpolation between the points themselves, which follows what no formula knows: the tiles of a
matrix kernel (6 rows may cost as little as 5), the edge of a cache. What then runs corrects both
the scale and each region's own error (`native/schedule/cost.cpp`). Seconds are of the thread's CPU
time: what else the machine does must not make runs look dear; how fast work really goes is for
admission to measure.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping

import numpy as np
import structlog
from numpy.typing import NDArray

from service import native
from service.graphs.model import Model
from service.schedulers.bounds import Bounds

log = structlog.get_logger(__name__)

Samples = Mapping[tuple[int, int], float]
"""Seconds by (rows, steps)."""

Floats = NDArray[np.float64]
Form = Callable[[Samples, NDArray[np.int64], NDArray[np.int64]], Floats]

ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
STEPS = (1, 4, 16, 64, 256, 1_024)
MAX_CHUNK = 256  # steps of one tick of `cells`
MAX_POINTS = 512  # of the table's time axis
LEAST_S = 1e-9


def measure(
    model: Model, max_rows: int, max_steps: int, budget_s: float
) -> dict[tuple[int, int], float]:
    """Run a model at a grid of shapes; the median seconds of each, by (rows, steps).

    Args:
        model: What to run, on zeros.
        max_rows: Largest batch.
        max_steps: Longest run.
        budget_s: Stop after about this long; small shapes come first, each at least once.
    """
    spec = model.spec
    rows = sorted({*(r for r in ROWS if r < max_rows), max_rows})
    steps = sorted(
        {*(s for s in STEPS if spec.min_length < s < max_steps), spec.min_length, max_steps}
    )
    shapes = sorted(itertools.product(rows, steps), key=lambda shape: shape[0] * shape[1])
    taken: dict[tuple[int, int], list[float]] = {}
    stop_s = time.perf_counter() + budget_s
    for turn, (batch_size, num_steps) in itertools.product(range(4), shapes):
        if time.perf_counter() > stop_s and (turn or len(taken) >= 6):
            break
        inputs = np.zeros((batch_size, num_steps, *spec.step_shape), spec.dtype)
        lengths = np.full(batch_size, num_steps, dtype=np.int64)
        state = {
            pair.input: np.zeros((batch_size, *pair.shape), dtype=np.float32) for pair in spec.state
        }
        started_s = time.thread_time()
        model.run(inputs, lengths, state)
        cpu_s = time.thread_time() - started_s
        taken.setdefault((batch_size, num_steps), []).append(cpu_s)
    # the first run of a shape also allocates
    return {shape: float(np.median(runs[1:] or runs)) for shape, runs in taken.items()}


def calibrate(model: Model, bounds: Bounds, name: str) -> CostModel:
    """The cost model of a freshly loaded model; its name is for the log."""
    rows, steps = bounds.max_batch_size, model.spec.max_length
    if model.spec.state:
        steps = min(steps, MAX_CHUNK)
    samples = measure(model, rows, steps, bounds.calibration_ms / 1_000)
    cost = CostModel(samples, rows, steps)
    log.info(
        "cost model",
        model=name,
        form=cost.form,
        points=len(samples),
        relative_error=round(cost.fit_error, 3),
        cell_us=round(1e6 * cost.cell_s, 2),
    )
    return cost


class CostModel(native.CostTable):
    """Predicts the seconds of a run, and learns from every run: see `native/schedule/cost.hpp`.

    Args:
        samples: At least one measurement.
        max_rows: Largest batch that will be asked for.
        max_steps: Longest run that will be asked for.
    """

    def __init__(self, samples: Samples, max_rows: int, max_steps: int) -> None:
        stride = -(-max_steps // MAX_POINTS)
        points = np.arange(0, max_steps + stride, stride).clip(1)
        rows = np.arange(1, max_rows + 1)
        forms: dict[str, Form] = {"formula": _formula}
        if _is_grid(samples):
            forms["table"] = _table
        errors = {name: _unseen_error(form, samples) for name, form in forms.items()}
        form = min(errors, key=errors.__getitem__)
        seconds = forms[form](samples, rows, points).clip(LEAST_S)
        super().__init__(seconds.tolist(), stride, max_steps)
        self.form = form
        self.fit_error = errors[form]


def _is_grid(samples: Samples) -> bool:
    rows, steps = ({shape[axis] for shape in samples} for axis in (0, 1))
    return len(rows) > 1 and len(steps) > 2 and len(samples) == len(rows) * len(steps)


def _terms(rows: Floats, steps: Floats) -> Floats:
    one = np.ones_like(rows)
    return np.stack([rows * steps**2, rows * steps, steps, rows, one], axis=-1)


def _formula(samples: Samples, rows: NDArray[np.int64], steps: NDArray[np.int64]) -> Floats:
    """Least squares of the relative error; (rows, steps)."""
    shapes = np.array(list(samples), dtype=np.float64)
    seconds = np.array(list(samples.values()))
    weighted = _terms(shapes[:, 0], shapes[:, 1]) / seconds[:, None]
    kept = list(range(weighted.shape[1]))
    while True:  # a term with a negative factor would predict negative times somewhere
        factors, *_ = np.linalg.lstsq(weighted[:, kept], np.ones(len(seconds)), rcond=None)
        if (factors >= 0).all() or len(kept) == 1:
            break
        kept.pop(int(np.argmin(factors)))
    grid_rows, grid_steps = np.meshgrid(rows.astype(float), steps.astype(float), indexing="ij")
    answer: Floats = _terms(grid_rows, grid_steps)[..., kept] @ factors
    return answer


def _table(samples: Samples, rows: NDArray[np.int64], steps: NDArray[np.int64]) -> Floats:
    """Interpolated between the points, along logarithms; (rows, steps)."""
    known_rows, known_steps = (sorted({shape[axis] for shape in samples}) for axis in (0, 1))
    along_steps = np.array(
        [
            np.interp(
                np.log(steps),
                np.log(known_steps),
                np.log([samples[row, step] / step for step in known_steps]),
            )
            for row in known_rows
        ]
    )  # log seconds a step: nearly flat, so that the interpolation errs little
    answer = np.array(
        [np.interp(np.log(rows), np.log(known_rows), column) for column in along_steps.T]
    ).T
    table: Floats = np.exp(answer) * steps
    return table


def _unseen_error(form: Form, samples: Samples) -> float:
    """Mean relative error at points left out of the fit: one column of steps at a time."""
    steps = sorted({shape[1] for shape in samples})
    errors = []
    for left_out in steps[1:-1] or steps[:1]:
        rest = {shape: value for shape, value in samples.items() if shape[1] != left_out} or samples
        for (rows, at), seconds in samples.items():
            if at == left_out:
                predicted = form(rest, np.array([rows]), np.array([at]))[0, 0]
                errors.append(abs(predicted - seconds) / seconds)
    return float(np.mean(errors))
