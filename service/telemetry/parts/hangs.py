"""What is counted of runs that hung."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class HangMetrics:
    """Of all models.

    Args:
        registry: Of the server.
        labels: Of a model in one precision.
    """

    def __init__(self, registry: CollectorRegistry, labels: list[str]) -> None:
        self.hung_runs = Counter(
            "seqserve_hung_runs_total",
            "Runs that took longer than max_hang_s and were given up",
            labels,
            registry=registry,
        )
        self.quarantined = Gauge(
            "seqserve_model_quarantined",
            "1 while a model gets nothing to run because a run of it hung, or ended two workers",
            labels,
            registry=registry,
            multiprocess_mode="livemax",
        )
