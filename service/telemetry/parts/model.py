"""What is counted of one model: its children of the metrics, and what brings them up to now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import Gauge

from service import native
from service.manifest import Manifest
from service.telemetry.inputs.model import ModelInputs
from service.telemetry.parts.tokens import ModelTokens
from service.telemetry.tally import ROWS, SECONDS, Shown, ShownTotal

if TYPE_CHECKING:
    from service.telemetry.metrics import Metrics


class ModelMetrics:
    """One model's children of the metrics that its scheduler counts."""

    def __init__(self, metrics: Metrics, name: str, version: str, precision: str) -> None:
        self.name, self.version = name, version
        self.labels = labels = (name, version, precision)
        self.tally = tally = native.RunTally(SECONDS, ROWS)
        self._histograms = (
            Shown(metrics.queue_duration.labels(*labels), tally.queue_s),
            Shown(metrics.compute_duration.labels(*labels), tally.compute_s),
            Shown(metrics.batch_size.labels(*labels), tally.rows),
        )
        self._cpu = ShownTotal(metrics.compute_cpu.labels(*labels))
        self._predicted = ShownTotal(metrics.predicted.labels(*labels))
        self._misprediction = ShownTotal(metrics.misprediction.labels(*labels))
        self._real = ShownTotal(metrics.cells.labels(*labels, "real"))
        self._padded = ShownTotal(metrics.cells.labels(*labels, "padded"))
        self._queue_depth = metrics.queue_depth.labels(*labels)
        self._active = metrics.active_sequences.labels(*labels)
        self.hung_runs = metrics.hangs.hung_runs.labels(*labels)
        self._quarantined = metrics.hangs.quarantined.labels(*labels)
        self._fill = metrics.queue_fill.labels(*labels)
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        self._all_tokens = metrics.tokens
        self._tokens: ModelTokens | None = None
        self._monitor, self._all_inputs = metrics.monitor, metrics.inputs
        self.inputs: ModelInputs | None = None
        """Looks at what it is given, if anything does."""

    @property
    def tokens(self) -> ModelTokens:
        """What a decoder counts; other models have none."""
        if self._tokens is None:
            self._tokens = ModelTokens(self._all_tokens, self.labels)
        return self._tokens

    def count_items(self, num_items: int, num_unknown: int, num_missing: int) -> None:
        """Count what of an input there is, what the vocabulary lacks, and what is not known."""
        inputs = self._all_inputs
        for counter, count in (
            (inputs.items, num_items),
            (inputs.unknown, num_unknown),
            (inputs.missing, num_missing),
        ):
            if count:
                counter.labels(*self.labels).inc(count)

    def look_at_inputs(self, manifest: Manifest) -> ModelInputs | None:
        """Have somebody look at what it is given, if the settings say so."""
        self.inputs = self._monitor.of_model(self.labels, manifest)
        return self.inputs

    def bring(self) -> None:
        """Have the metrics show what was counted."""
        for histogram in self._histograms:
            histogram.bring()
        tally = self.tally
        self._cpu.bring(tally.cpu_s)
        self._predicted.bring(tally.predicted_s)
        self._misprediction.bring(tally.misprediction_s)
        self._real.bring(tally.real_cells)
        self._padded.bring(tally.padded_cells)
        if self._tokens is not None:
            self._tokens.bring()

    def watch(
        self,
        waiting: Callable[[], float],
        active: Callable[[], float],
        fill: Callable[[], float],
        quarantined: Callable[[], float],
    ) -> None:
        """Have the gauges follow the scheduler."""
        self._watched = [
            (self._queue_depth, waiting),
            (self._active, active),
            (self._fill, fill),
            (self._quarantined, quarantined),
        ]

    def refresh(self) -> None:
        """Bring what is asked for only now and then up to now."""
        for gauge, value in self._watched:
            gauge.set(value())

    def unwatch(self, is_last: bool) -> None:
        """Follow nothing more; `is_last`: the gauges are no other's either."""
        if is_last:
            for gauge, _ in self._watched:
                gauge.set(0)
        if self.inputs is not None:
            self._monitor.forget(self.inputs, is_last)
        self._watched = []  # which lead to the scheduler, and that here
