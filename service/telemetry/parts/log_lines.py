"""What the log is missing."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from service.telemetry.logs import dropped_lines
from service.telemetry.tally import ShownTotal


class LogMetrics:
    """Lines of the log that were dropped.

    Args:
        registry: Of the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        dropped = Counter(
            "seqserve_log_lines_dropped_total",
            "Lines that the log is missing; reason is full (nobody read it fast enough) or often "
            "(too many warnings of a kind)",
            ["reason"],
            registry=registry,
        )
        self._shown = {reason: ShownTotal(dropped.labels(reason)) for reason in ("full", "often")}

    def bring(self) -> None:
        """Have the metric show all that were dropped."""
        for reason, count in dropped_lines().items():
            self._shown[reason].bring(count)
