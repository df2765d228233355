"""Every Prometheus metric, declared once.

Where PROMETHEUS_MULTIPROC_DIR names a folder, prometheus-client keeps values there, and a scrape of
any worker shows them of all: counters and histograms added up, of workers that ended too; gauges of
those that live, each by its `multiprocess_mode`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.openmetrics import exposition as openmetrics

from service import native
from service.telemetry.inputs.metrics import InputMetrics
from service.telemetry.inputs.monitor import InputMonitor
from service.telemetry.parts.cache import CacheMetrics
from service.telemetry.parts.hangs import HangMetrics
from service.telemetry.parts.log_lines import LogMetrics
from service.telemetry.parts.model import ModelMetrics
from service.telemetry.parts.outcome import Outcome
from service.telemetry.parts.process import ProcessTotals
from service.telemetry.parts.readiness import RepositoryMetrics
from service.telemetry.parts.series import FAULTS, KEPT_S, OK, Departed, LiveCollector
from service.telemetry.parts.tokens import TokenMetrics
from service.telemetry.settings import TelemetrySettings
from service.telemetry.tally import ROWS, SECONDS, Histogram

MODEL = ["model", "version"]
ENGINE = [*MODEL, "precision"]  # each precision of a model has a scheduler of its own
LAGS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)
DIFFERENCES = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0)

UNTOLD = TelemetrySettings(input_sample_share=0.0)
PROTOCOLS = ("v1", "v2")

disable_created_metrics()  # type: ignore[no-untyped-call]  # a line more for each counter, which nobody reads


class Metrics:
    """The metrics of one server, in a registry of its own.

    Args:
        settings: How closely models' inputs are looked at.
        protocols: That models are asked by.
        kept_s: So long the series of a model stay that is unloaded.
    """

    def __init__(
        self,
        settings: TelemetrySettings = UNTOLD,
        protocols: Sequence[str] = PROTOCOLS,
        kept_s: float = KEPT_S,
    ) -> None:
        self.registry = registry = CollectorRegistry()
        self._protocols = protocols
        self._departed = Departed(registry, kept_s)
        self._lock = threading.Lock()
        self._scraped = registry
        self._process: ProcessTotals | None = None
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            self._scraped = CollectorRegistry()
            LiveCollector(self._scraped, self._departed)
            self._process = ProcessTotals(registry)
        else:
            ProcessCollector(registry=registry)
            GCCollector(registry=registry)
        PlatformCollector(registry=self._scraped)
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
        self.compute_cpu = Counter(
            "seqserve_compute_cpu_seconds_total",
            "CPU time of all runs",
            ENGINE,
            registry=registry,
        )
        self.predicted = Counter(
            "seqserve_predicted_compute_seconds_total",
            "CPU time that the cost model predicted for all runs; compare with the real one",
            ENGINE,
            registry=registry,
        )
        self.misprediction = Counter(
            "seqserve_compute_misprediction_seconds_total",
            "Sum over all runs of |real - predicted|",
            ENGINE,
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
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.active_sequences = Gauge(
            "seqserve_active_sequences", "Sequences that run or hold state", ENGINE,
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.model_info = Gauge(
            "seqserve_model_info",
            "1 for each precision of a model that serves",
            [*ENGINE, "family", "task", "batching"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.queue_fill = Gauge(
            "seqserve_queue_fill_ratio",
            "Share of max_queue_size or max_queue_cells that is taken, the larger; at 1 come 429s",
            ENGINE,
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.loop_lag = Histogram(
            "seqserve_loop_lag_seconds",
            "A ready callback's wait for the event loop, sampled",
            buckets=LAGS,
            registry=registry,
        )
        self.shadow_requests = Counter(
            "seqserve_shadow_requests_total",
            "Answers held against a shadow's; outcome is agree, disagree, failed or skipped",
            [*MODEL, "outcome"],
            registry=registry,
        )
        self.shadow_difference = Histogram(
            "seqserve_shadow_max_abs_difference",
            "Largest difference of a number of an answer from the shadow version's",
            MODEL,
            buckets=DIFFERENCES,
            registry=registry,
        )
        self.worker_restarts = Counter(
            "seqserve_worker_restarts_total",
            "Workers that began in the place of one that had ended",
            registry=registry,
        )
        self.log_lines = LogMetrics(registry)
        self.cache = CacheMetrics(registry)
        self.tokens = TokenMetrics(registry, ENGINE)
        self.inputs = InputMetrics(registry, ENGINE)
        self.monitor = InputMonitor(self.inputs, settings)
        self.repository = RepositoryMetrics(registry, MODEL)
        self.hangs = HangMetrics(registry, ENGINE)
        self._outcomes: dict[tuple[str, str, str, str], Outcome] = {}
        self._models: list[ModelMetrics] = []
        self.bear("", "")  # of requests that ended before their model was found

    def outcome(self, model: str, version: str, protocol: str, outcome: str) -> native.Distribution:
        """Tally of the seconds of the requests that ended so; for the event loop alone."""
        labels = (model, version, protocol, outcome)
        counted = self._outcomes.get(labels)
        if counted is None:
            counted = self._outcomes[labels] = Outcome(
                self.requests.labels(*labels), self.request_duration.labels(*labels)
            )
        return counted.elapsed_s

    def bear(self, model: str, version: str) -> None:
        """Have what the alerts read of a model, at 0, before anything is counted."""
        self._departed.come((model, version))
        for protocol in self._protocols:
            for outcome in (OK, *FAULTS):
                self.requests.labels(model, version, protocol, outcome)
            self.request_duration.labels(model, version, protocol, OK)
        self.inputs.refused.labels(model, version)

    def tallies_of(self, model: str, version: str) -> list[native.RunTally]:
        """What the schedulers of a model count, one a precision."""
        with self._lock:
            models = list(self._models)
        return [it.tally for it in models if (it.name, it.version) == (model, version)]

    def of_model(self, name: str, version: str, precision: str = "fp32") -> ModelMetrics:
        """What one model's scheduler counts; the label look-ups are done here, once."""
        with self._lock:
            self._models.append(ModelMetrics(self, name, version, precision))
            return self._models[-1]

    def forget_model(self, model: ModelMetrics) -> bool:
        """Follow a model no more that runs no more; what it counted stays.

        Returns:
            Whether none is left under its labels, as one is that replaces it.
        """
        with self._lock:
            model.bring()
            self._models.remove(model)
            is_last = all(other.labels != model.labels for other in self._models)
            model.unwatch(is_last)
            version = model.name, model.version
            if all((it.name, it.version) != version for it in self._models):
                self._departed.leave(version)
            return is_last

    def bring(self) -> None:
        """Have the metrics show all that was counted."""
        with self._lock:
            self.log_lines.bring()
            for outcome in list(self._outcomes.values()):
                outcome.bring()
            for model in self._models:
                model.bring()
            self._drop_departed()

    def _drop_departed(self) -> None:
        for version in self._departed.drop(keeps_files=self._process is not None):
            for labels in [labels for labels in self._outcomes if labels[:2] == version]:
                del self._outcomes[labels]

    def refresh(self) -> None:
        """Bring everything up to now, what is asked for only then too."""
        self.bring()
        with self._lock:
            self.repository.refresh()
            for model in self._models:
                model.refresh()
            if self._process is not None:
                self._process.refresh()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics, of all workers, and their media type.

        Args:
            accept: The header: OpenMetrics, with exemplars, where it asks for that; else the
                plain text format.
        """
        kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
        self.refresh()
        if "application/openmetrics-text" in kinds:
            text: bytes = openmetrics.generate_latest(self._scraped)  # type: ignore[no-untyped-call]
            return text, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._scraped), CONTENT_TYPE_LATEST
