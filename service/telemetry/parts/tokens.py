"""What is counted of the tokens that decoders make."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from service import native
from service.telemetry.tally import SECONDS, Histogram, Shown


class TokenMetrics:
    """What decoders count.

    Args:
        registry: Of the server.
        labels: Of the models' metrics.
    """

    def __init__(self, registry: CollectorRegistry, labels: Sequence[str]) -> None:
        self.generated = Counter(
            "seqserve_generated_tokens_total",
            "Tokens made by decoders, of beams those of each step of the search once",
            labels,
            registry=registry,
        )
        self.first = Histogram(
            "seqserve_first_token_seconds",
            "From a request's submission to the first token of a sequence of it",
            labels,
            buckets=SECONDS,
            registry=registry,
        )
        self.interval = Histogram(
            "seqserve_token_interval_seconds",
            "From one token of a sequence to its next",
            labels,
            buckets=SECONDS,
            registry=registry,
        )


class ModelTokens:
    """One decoder's children of those.

    Args:
        metrics: The server's.
        labels: The model's.
    """

    def __init__(self, metrics: TokenMetrics, labels: Sequence[str]) -> None:
        self.generated = metrics.generated.labels(*labels)
        self.first_s = native.Distribution(SECONDS)
        self.interval_s = native.Distribution(SECONDS)
        self._histograms = (
            Shown(metrics.first.labels(*labels), self.first_s),
            Shown(metrics.interval.labels(*labels), self.interval_s),
        )

    def bring(self) -> None:
        """Have the metrics show what was counted."""
        for histogram in self._histograms:
            histogram.bring()
