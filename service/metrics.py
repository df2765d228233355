"""Every Prometheus metric, declared once."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

MODEL = ["model", "version"]
ENGINE = [*MODEL, "precision"]  # each precision of a model has a scheduler of its own
SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        request = [*MODEL, "protocol", "outcome"]
        self.requests = Counter(
            "seqserve_requests_total",
            "Requests answered; outcome is ok or the error's code",
            request,
            registry=registry,
        )
        self.request_duration = Histogram(
            "seqserve_request_duration_seconds",
            "From a request's head read to its answer made",
            request,
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_duration = Histogram(
            "seqserve_queue_duration_seconds",
            "A sequence's wait until its first run",
            ENGINE,
            buckets=SECONDS,
            registry=registry,
        )
        self.compute_duration = Histogram(
            "seqserve_compute_duration_seconds",
            "One run of a graph",
            ENGINE,
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "seqserve_batch_size",
            "Sequences in one run of a graph",
            ENGINE,
            buckets=ROWS,
            registry=registry,
        )
        self.cells = Counter(
            "seqserve_cells_total",
            "Steps computed; kind is real or padded",
            [*ENGINE, "kind"],
            registry=registry,
        )
        self.queue_depth = Gauge(
            "seqserve_queue_depth", "Sequences that wait for their first run", ENGINE,
            registry=registry,
        )  # fmt: skip
        self.active_sequences = Gauge(
            "seqserve_active_sequences", "Sequences that run or hold state", ENGINE,
            registry=registry,
        )  # fmt: skip
        self.model_info = Gauge(
            "seqserve_model_info",
            "1 for each precision of a model that serves",
            [*ENGINE, "family", "task", "batching"],
            registry=registry,
        )
        self.load_duration = Gauge(
            "seqserve_model_load_seconds",
            "Time to verify, check and warm a model",
            MODEL,
            registry=registry,
        )
        self.load_failures = Counter(
            "seqserve_model_load_failures_total", "Bundles refused at load", registry=registry
        )

    def of_model(self, name: str, version: str, precision: str = "fp32") -> ModelMetrics:
        """What one model's scheduler counts; the label look-ups are done here, once."""
        return ModelMetrics(self, name, version, precision)


class ModelMetrics:
    """One model's children of the metrics that its scheduler updates."""

    def __init__(self, metrics: Metrics, name: str, version: str, precision: str) -> None:
        labels = (name, version, precision)
        self._queue_duration = metrics.queue_duration.labels(*labels)
        self._compute_duration = metrics.compute_duration.labels(*labels)
        self._batch_size = metrics.batch_size.labels(*labels)
        self._real = metrics.cells.labels(*labels, "real")
        self._padded = metrics.cells.labels(*labels, "padded")
        self._queue_depth = metrics.queue_depth.labels(*labels)
        self._active = metrics.active_sequences.labels(*labels)

    def queued(self, elapsed_s: float) -> None:
        """A sequence waited this long for its first run."""
        self._queue_duration.observe(elapsed_s)

    def ran(self, rows: int, steps: int, real: int, elapsed_s: float) -> None:
        """A graph ran `rows` x `steps` cells, `real` of them no padding."""
        self._compute_duration.observe(elapsed_s)
        self._batch_size.observe(rows)
        self._real.inc(real)
        self._padded.inc(rows * steps - real)

    def watch(self, waiting: Callable[[], float], active: Callable[[], float]) -> None:
        """Read the queue's depth and the active sequences from the scheduler at each scrape."""
        self._queue_depth.set_function(waiting)
        self._active.set_function(active)
