"""Observations counted in plain numbers, and brought to Prometheus's metrics now and then.

A metric's own update takes a lock and, with several workers, two writes to shared memory: too much
for what happens several times a request. Each tally has one writer at a time; bringing reads what
was counted so far, so that nothing is lost or doubled whenever it comes.
"""

from __future__ import annotations

from collections.abc import Sequence

import prometheus_client
from prometheus_client.samples import Exemplar

from service import native

ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Bounds of the buckets of durations."""


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

    def point_to(self, bucket: int, trace_id: str, value: float, at_s: float) -> None:
        """Show this trace as an example of a bucket's observations; with one worker alone."""
        self._buckets[bucket].set_exemplar(Exemplar({"trace_id": trace_id}, value, at_s))


class Shown:
    """A histogram, and the tally that it is to show.

    Args:
        histogram: With its labels, if it has any.
        tally: Of the same buckets.
    """

    def __init__(self, histogram: Histogram, tally: native.Distribution) -> None:
        self._histogram = histogram
        self.tally = tally
        self._brought = tally.counts()
        self._brought_total = tally.total()

    def bring(self) -> None:
        """Have the histogram show what was counted."""
        counts, total = self.tally.counts(), self.tally.total()
        if counts != self._brought:
            news = [now - before for now, before in zip(counts, self._brought, strict=True)]
            self._histogram.take(news, total - self._brought_total)
            self._brought, self._brought_total = counts, total

    def bring_exemplars(self) -> None:
        """Have the histogram show traces of what was counted."""
        for exemplar in self.tally.take_exemplars():
            self._histogram.point_to(*exemplar)


class ShownTotal:
    """A counter that is to show a sum which only grows.

    Args:
        counter: With its labels, if it has any.
    """

    def __init__(self, counter: prometheus_client.Counter) -> None:
        self._counter = counter
        self._brought = 0.0

    def bring(self, value: float) -> None:
        """Have the counter show so much."""
        if value > self._brought:
            self._counter.inc(value - self._brought)
            self._brought = value
