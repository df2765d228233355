"""Observations counted in plain numbers, and brought to Prometheus's metrics now and then.

A metric's own update takes a lock and, with several workers, two writes to shared memory: too much
for what happens several times a request. Each tally has one writer at a time; bringing reads what
was counted so far, so that nothing is lost or doubled whenever it comes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import prometheus_client


class Histogram(prometheus_client.Histogram):
    """A histogram that takes many observations at once."""

    def take(self, counts: Sequence[int], total: float) -> None:
        """Add observations.

        Args:
            counts: So many in each bucket, the last one's bound is infinite.
            total: Their sum.
        """
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


class Distribution:
    """The tally of a histogram.

    Args:
        histogram: With its labels, if it has any.
        bounds: Its buckets', ascending, without the infinite one.
    """

    def __init__(self, histogram: Histogram, bounds: Sequence[float]) -> None:
        self._histogram = histogram
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self._brought = list(self._counts)
        self._brought_total = 0.0

    @property
    def count(self) -> int:
        """Observations so far."""
        return sum(self._counts)

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def bring(self) -> None:
        """Have the histogram show what was counted."""
        counts, total = list(self._counts), self._total
        if counts != self._brought:
            news = [now - before for now, before in zip(counts, self._brought, strict=True)]
            self._histogram.take(news, total - self._brought_total)
            self._brought, self._brought_total = counts, total


class Total:
    """The tally of a counter.

    Args:
        counter: With its labels, if it has any.
    """

    def __init__(self, counter: prometheus_client.Counter) -> None:
        self._counter = counter
        self.value = 0.0
        """So far; only ever added to."""
        self._brought = 0.0

    def bring(self) -> None:
        """Have the counter show what was counted."""
        value = self.value
        if value > self._brought:
            self._counter.inc(value - self._brought)
            self._brought = value
