"""The thread that looks at what models are given."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import structlog

from service.manifest import Manifest
from service.telemetry.inputs.metrics import InputMetrics
from service.telemetry.inputs.model import ModelInputs
from service.telemetry.settings import TelemetrySettings

log = structlog.get_logger(__name__)

INTERVAL_S = 1.0


class InputMonitor:
    """Looks once a second at a sample of what models were given since.

    Args:
        metrics: The server's.
        settings: How much it looks at; with a share of 0, nothing.
    """

    def __init__(self, metrics: InputMetrics, settings: TelemetrySettings) -> None:
        self._metrics = metrics
        self._share, self._window = settings.input_sample_share, settings.input_window
        self._models: list[ModelInputs] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="input-monitor", daemon=True)

    def start(self) -> None:
        """Look from now on."""
        if self._share:
            self._thread.start()

    def close(self) -> None:
        """Look a last time, and no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def of_model(self, labels: Sequence[str], manifest: Manifest) -> ModelInputs | None:
        """Look at what this model is given too; None if nothing is looked at."""
        if not self._share:
            return None
        model = ModelInputs(self._metrics, labels, manifest, self._share, self._window)
        self._models = [*self._models, model]
        return model

    def forget(self, model: ModelInputs, is_last: bool) -> None:
        """Look at a model no more; `is_last`: no other has its labels."""
        self._models = [each for each in self._models if each is not model]
        if is_last:
            model.forget()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(INTERVAL_S)
            for model in self._models:
                try:
                    model.look()
                except Exception:
                    log.exception("a look at inputs failed")
