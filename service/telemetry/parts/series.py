"""The life of a model's series: born at 0 before anything is counted, gone a while after the model.

`rate()` sees nothing of a series whose first value is its first error: what the alerts read of a
model is there as soon as the model is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector

OK = "ok"
FAULTS = (
    "internal", "inference_failed", "timeout", "overloaded", "draining", "model_not_ready",
    "model_quarantined", "out_of_memory", "no_storage", "storage_hangs",
)  # fmt: skip
"""Outcomes that are not the caller's doing: they spend the error budget of
deploy/prometheus/rules/recording.yml, and a trace calls them errors.
"""
KEPT_S = 600.0
"""Series of an unloaded model stay so long, for Prometheus to scrape what it counted last."""

Version = tuple[str, str]
"""Name and version of a model."""


class Departed:
    """Models that serve no more, whose series are soon to go, or gone.

    Args:
        registry: Of all metrics.
        kept_s: So long they stay.
    """

    def __init__(self, registry: CollectorRegistry, kept_s: float) -> None:
        self._registry = registry
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._left_s: dict[Version, float] = {}
        self.gone: set[Version] = set()
        """Those without series, where a file still has their values; see `LiveCollector`."""

    def leave(self, model: Version) -> None:
        """It serves no more."""
        with self._lock:
            self._left_s[model] = time.monotonic()

    def come(self, model: Version) -> None:
        """It serves, maybe again."""
        with self._lock:
            self._left_s.pop(model, None)
            self.gone.discard(model)

    def drop(self, keeps_files: bool) -> list[Version]:
        """Remove the series of those that left long ago; which those were.

        Args:
            keeps_files: Values are in files too, which lose nothing.
        """
        with self._lock:
            before_s = time.monotonic() - self._kept_s
            over = [model for model, left_s in self._left_s.items() if left_s <= before_s]
            for model in over:
                del self._left_s[model]
            if keeps_files:
                self.gone.update(over)
        if over:
            remove_series(self._registry, set(over))
        return over


def remove_series(registry: CollectorRegistry, models: set[Version]) -> None:
    """Remove every series of these models.

    Not by `remove`, which looks for one set of labels alone, and warns where values are in files.
    """
    for metric in list(registry._collector_to_names):
        if tuple(getattr(metric, "_labelnames", ()))[:2] != ("model", "version"):
            continue
        with metric._lock:  # type: ignore[attr-defined]
            children = metric._metrics  # type: ignore[attr-defined]
            for labels in [labels for labels in children if labels[:2] in models]:
                del children[labels]


class LiveCollector(MultiProcessCollector):
    """What all workers counted, but of models that are long gone, which files keep.

    Args:
        registry: That scrapes it.
        departed: All workers make the same changes of the models.
    """

    def __init__(self, registry: CollectorRegistry, departed: Departed) -> None:
        super().__init__(registry)  # type: ignore[no-untyped-call]
        self._departed = departed

    def collect(self) -> Iterator[Metric]:
        """As MultiProcessCollector's."""
        found: Iterable[Metric] = super().collect()  # type: ignore[no-untyped-call]
        gone = self._departed.gone
        for metric in found:
            if gone:
                metric.samples = [
                    it
                    for it in metric.samples
                    if (it.labels.get("model"), it.labels.get("version")) not in gone
                ]
            yield metric
