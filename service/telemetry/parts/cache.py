"""What the cache of results counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class CacheMetrics:
    """What the cache of results counts.

    Args:
        registry: Of the server.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        asked = Counter(
            "seqserve_cache_requests_total",
            "Requests looked up in the cache of results; result is hit or miss",
            ["result"],
            registry=registry,
        )
        self._hit, self._miss = asked.labels("hit"), asked.labels("miss")
        self._bytes = Gauge(
            "seqserve_cache_bytes",
            "Bytes that the cache of results holds",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def asked(self, hit: bool) -> None:
        """A request was looked up."""
        (self._hit if hit else self._miss).inc()

    def holds(self, held_bytes: int) -> None:
        """The cache holds this much now."""
        self._bytes.set(held_bytes)
