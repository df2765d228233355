"""What is told of the repository: what is loaded, what is refused, whether the server is ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from service.telemetry.parts.series import KEPT_S

Refused = Callable[[], Iterable[tuple[str, str]]]


class RepositoryMetrics:
    """What is told of the repository.

    Args:
        registry: Of the server.
        labels: Of a model's version.
    """

    def __init__(self, registry: CollectorRegistry, labels: Sequence[str]) -> None:
        self.load_duration = Gauge(
            "seqserve_model_load_seconds",
            "Time to verify, check and warm a model",
            labels,
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.load_failures = Counter(
            "seqserve_model_load_failures_total", "Bundles refused at load", registry=registry
        )
        self._refused = Gauge(
            "seqserve_model_refused",
            "1 while a version's files are refused, even if it serves as it was loaded before",
            labels,
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.look_ok = Gauge(
            "seqserve_repository_look_ok",
            "0 while a part of the repository can't be looked at; what serves goes on serving",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.look_ok.set(1)
        self._ready = Gauge(
            "seqserve_ready",
            "1 while readiness answers 200",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._standing = Gauge(
            "seqserve_repository_reads_standing",
            "Reads of models' files that have stood still for storage_timeout_s and go on",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._num_standing: Callable[[], int] = int
        self._shown: dict[tuple[str, str], float] = {}  # when it was refused last
        self._is_ready: Callable[[], bool] = lambda: False
        self._refused_now: Refused = tuple

    def watch(
        self,
        is_ready: Callable[[], bool],
        refused: Refused,
        num_standing: Callable[[], int] = int,
    ) -> None:
        """Follow these from now on: readiness, what is refused, how many reads stand still."""
        self._is_ready, self._refused_now = is_ready, refused
        self._num_standing = num_standing

    def refresh(self) -> None:
        """Bring what is followed up to now."""
        self._ready.set(self._is_ready())
        self._standing.set(self._num_standing())
        refused, now_s = {*self._refused_now()}, time.monotonic()
        self._shown |= dict.fromkeys(refused, now_s)
        for version, last_s in list(self._shown.items()):
            self._refused.labels(*version).set(version in refused)
            if now_s - last_s > KEPT_S:
                del self._shown[version]  # at 0, which says as much as none
