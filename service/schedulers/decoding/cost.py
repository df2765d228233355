"""What a turn of a decoder takes."""

from __future__ import annotations

import time

import numpy as np
import structlog

from service.graphs.decoders.decoder import Decoder
from service.graphs.decoders.states import States
from service.schedulers.bounds import Bounds
from service.schedulers.cost import ROWS, CostModel

log = structlog.get_logger(__name__)

TYPICAL_STEPS = 64  # held of a text, and of its source, by one that is measured
MAX_TRIES = 4


def calibrate_decoder(decoder: Decoder, bounds: Bounds, name: str) -> CostModel:
    """The cost model of a freshly loaded decoder: of one turn; its name is for the log."""
    max_rows = bounds.max_batch_size
    stop_s = time.perf_counter() + bounds.calibration_ms / 1_000
    samples: dict[tuple[int, int], float] = {}
    for num_rows in sorted({*(rows for rows in ROWS if rows < max_rows), max_rows}):
        if len(samples) >= 2 and time.perf_counter() > stop_s:
            break
        samples[num_rows, 1] = _measure(decoder, num_rows)
    cost = CostModel(samples, max_rows, 1)
    log.info(
        "cost model",
        model=name,
        form=cost.form,
        points=len(samples),
        relative_error=round(cost.fit_error, 3),
        cell_us=round(1e6 * cost.cell_s, 2),
    )
    return cost


def _measure(decoder: Decoder, num_rows: int) -> float:
    """CPU seconds of one turn of so many rows in the midst of their texts."""
    states = midway(decoder, num_rows)
    tokens, lengths = np.zeros((num_rows, 1), np.int64), np.ones(num_rows, np.int64)
    taken = []
    for _ in range(MAX_TRIES):
        started_s = time.thread_time()
        outputs = decoder.run(tokens, lengths, states.feed())
        taken.append(time.thread_time() - started_s)
        states = states.after(outputs, lengths)
    return float(np.median(taken[1:]))  # the first also allocates


def midway(decoder: Decoder, num_rows: int) -> States:
    """The state of rows that have run some steps."""
    spec = decoder.spec
    encoded, source_lengths = {}, None
    if spec.memory:
        size = min(TYPICAL_STEPS, spec.memory.max_length)
        source_lengths = np.full(num_rows, size, dtype=np.int64)
        encoded = decoder.encode(np.zeros((num_rows, size), np.int64), source_lengths)
    states = States.begin(spec, num_rows, encoded, source_lengths)
    if not spec.cache:
        return states
    steps = min(TYPICAL_STEPS, spec.cache.max_steps - MAX_TRIES, spec.max_length)
    lengths = np.full(num_rows, max(steps, 1), dtype=np.int64)
    tokens = np.zeros((num_rows, max(steps, 1)), np.int64)
    return states.after(decoder.run(tokens, lengths, states.feed()), lengths)
