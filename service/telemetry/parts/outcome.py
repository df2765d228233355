"""How requests ended, and how long they took."""

from __future__ import annotations

from prometheus_client import Counter

from service import native
from service.telemetry.tally import SECONDS, Histogram, Shown, ShownTotal


class Outcome:
    """How many requests ended in one way, and how long they took.

    Args:
        requests: The counter, with its labels.
        duration: The histogram, with the same.
    """

    def __init__(self, requests: Counter, duration: Histogram) -> None:
        self.elapsed_s = native.Distribution(SECONDS)
        self._duration = Shown(duration, self.elapsed_s)
        self._requests = ShownTotal(requests)

    def bring(self) -> None:
        """Have the metrics show what was counted."""
        self._duration.bring()
        self._duration.bring_exemplars()
        self._requests.bring(sum(self.elapsed_s.counts()))
