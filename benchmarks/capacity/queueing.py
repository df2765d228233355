"""A queue whose servers take batches: what it says about latency.

Requests arrive as a Poisson process and wait in one queue. A core that is free takes them in a
batch, and has it for a time that grows in a line with the batch:

    n requests wait, k cores:   batch b = min(B, ceil(n / k)),   its time = run_s + b * request_s

For one core and no bound B this is the model of Inoue, Queueing Analysis of GPU-Based Inference
Servers with Dynamic Batching, Performance Evaluation 147 (2021), whose bound on the mean is
`mean_bound_s`. For more cores and for quantiles there is no formula: `latencies_s` plays the model.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REQUESTS = 60_000
WARMUP = 5_000
"""Requests that come first and are not looked at: the queue begins empty."""


@dataclass(frozen=True)
class Cost:
    """What the model knows of a server.

    Args:
        cores: k.
        run_s: Of a core's time, for a batch of any size.
        request_s: Of a core's time, for each request in it.
        max_batch: B.
    """

    cores: int
    run_s: float
    request_s: float
    max_batch: float

    @property
    def capacity(self) -> float:
        """Requests a second, when every batch is full."""
        return self.cores / (self.run_s / self.max_batch + self.request_s)


def calibrated(cores: int, alone_s: float, capacity: float, max_batch: float) -> Cost:
    """The cost that gives these two measurements.

    Args:
        cores: Of the server.
        alone_s: Latency of a request when there is no other.
        capacity: Requests a second at saturation.
        max_batch: Mean batch at saturation.
    """
    busy_s = cores / capacity  # of one core, a request
    if max_batch <= 1.0:
        return Cost(cores, 0.0, busy_s, 1.0)
    run_s = min(max((alone_s - busy_s) / (1 - 1 / max_batch), 0.0), busy_s * max_batch)
    return Cost(cores, run_s, busy_s - run_s / max_batch, max_batch)


def latencies_s(cost: Cost, rate: float, seed: int = 0) -> NDArray[np.float64]:
    """Of requests that arrive at this rate, from arrival to answer."""
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1 / rate, REQUESTS))
    times = arrivals.tolist()
    answered = np.empty(REQUESTS)
    free_s = [0.0] * cost.cores
    whole_batch = max(1, round(cost.max_batch))
    first = seen = 0  # the first that waits, and the first that has not come yet
    while first < REQUESTS:
        now = max(heapq.heappop(free_s), times[first])
        seen = max(seen, first)
        while seen < REQUESTS and times[seen] <= now:
            seen += 1
        batch = min(whole_batch, math.ceil((seen - first) / cost.cores))
        done = now + cost.run_s + batch * cost.request_s
        answered[first : first + batch] = done
        heapq.heappush(free_s, done)
        first += batch
    latencies: NDArray[np.float64] = (answered - arrivals)[WARMUP:]
    return latencies


def mean_bound_s(cost: Cost, rate: float) -> float:
    """Of one core with unbounded batches: the closed form that its mean latency does not pass."""
    a, t, r = cost.request_s, cost.run_s, rate
    light = (a + t) / (2 * (1 - r * a)) * (1 + 2 * r * t + (1 - r * t) / (1 + r * a))
    heavy = 1.5 * t / (1 - r * a) + a / 2 * (r * a + 2) / (1 - (r * a) ** 2)
    return min(light, heavy)
