"""The statistics extension: what a model's requests took, in the protocol's form."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TypedDict

from service import native
from service.telemetry.metrics import Metrics


class Duration(TypedDict):
    """How often something happened, and how long it took in all."""

    count: int
    ns: int


class BatchStatistics(TypedDict):
    """The runs of one size."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(TypedDict):
    """One version of a model."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: dict[str, Duration]
    response_stats: dict[str, object]
    batch_stats: list[BatchStatistics]
    memory_usage: list[object]


def model_statistics(metrics: Metrics, model: str, version: str) -> ModelStatistics:
    """What was counted of a version of a model since it was loaded, over its precisions.

    A request's time is the sum of four: `compute_input` until it is submitted, `queue` until its
    first run, `compute_infer` until the end of its last, `compute_output` until its answer is made.
    """
    tallies = metrics.tallies_of(model, version)
    stages = [tally.stages for tally in tallies]
    return {
        "name": model,
        "version": version,
        "last_inference": _epoch_ms(max((it.last_s for it in stages), default=0.0)),
        "inference_count": round(sum(it.rows for it in stages)),
        "execution_count": sum(sum(tally.compute_s.counts()) for tally in tallies),
        "inference_stats": {
            "success": _duration(it.success for it in stages),
            "fail": _duration(it.fail for it in stages),
            "queue": _duration(it.queue for it in stages),
            "compute_input": _duration(it.input for it in stages),
            "compute_infer": _duration(it.infer for it in stages),
            "compute_output": _duration(it.output for it in stages),
            "cache_hit": _duration(it.cache_hit for it in stages),
            "cache_miss": _duration(it.cache_miss for it in stages),
        },
        "response_stats": {},
        "batch_stats": _batches([tally.batches for tally in tallies]),
        "memory_usage": [],
    }


def _batches(tallies: list[native.BatchTally]) -> list[BatchStatistics]:
    by_size: dict[int, list[native.BatchStages]] = {}
    for tally in tallies:
        for size in tally.sizes():
            by_size.setdefault(size, []).append(tally.of(size))
    return [
        {
            "batch_size": size,
            "compute_input": _duration(it.input for it in stages),
            "compute_infer": _duration(it.infer for it in stages),
            "compute_output": _duration(it.output for it in stages),
        }
        for size, stages in sorted(by_size.items())
    ]


def _duration(timings: Iterable[native.Timing]) -> Duration:
    timings = list(timings)
    seconds = sum(timing.total_s for timing in timings)
    return {"count": sum(timing.count for timing in timings), "ns": round(1e9 * seconds)}


def _epoch_ms(at_s: float) -> int:
    """Milliseconds since 1970 of a moment of the monotonic clock; 0 for none."""
    return round(1_000 * (time.time() - time.perf_counter() + at_s)) if at_s else 0
