"""What is counted of API keys."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class KeyMetrics:
    """By the name of the key; without one, of all who had none.

    Args:
        registry: Of the server's metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "seqserve_key_requests_total",
            "Requests by API key; outcome is admitted or why not",
            ["key", "outcome"],
            registry=registry,
        )
        self.file_ok = Gauge(
            "seqserve_key_file_ok",
            "0 while the file of API keys is bad and the keys before it stay",
            registry=registry,
            multiprocess_mode="livemin",
        )

    def count(self, key: str, outcome: str) -> None:
        """Count a request."""
        self.of(key, outcome).inc()

    def of(self, key: str, outcome: str) -> Counter:
        """The counter of a key's requests that ended so."""
        return self._requests.labels(key, outcome)
