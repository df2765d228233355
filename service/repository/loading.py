"""A bundle made to serve: verified, checked for invariance, measured and warm."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import structlog
from prometheus_client import Gauge

from service.engine.engine import Engine
from service.errors import BundleError, InvalidRequestError, ModelNotReadyError
from service.graphs.invariance import TOLERANCE, check_invariance
from service.graphs.model import OnnxModel
from service.manifest import Manifest, Precision, read_graph, read_manifest
from service.schedulers.bounds import Bounds
from service.schedulers.cost import calibrate
from service.schedulers.scheduler import Scheduler
from service.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

CHECKED_CHUNK = 16  # steps; a state that carries over at one place carries over at all


@dataclasses.dataclass(frozen=True, eq=False)
class Served:
    """A model that answers, in one precision."""

    manifest: Manifest
    scheduler: Scheduler
    precision: Precision = "fp32"


@dataclasses.dataclass(frozen=True, eq=False)
class Loaded:
    """One version of a model, in all its precisions."""

    served: Served
    """What answers a request that asks for no precision."""
    others: dict[str, Served | str]
    """Its other precisions, each serving or why it does not."""

    def get(self, precision: str | None = None, field: str = "precision") -> Served:
        """The model computing with this precision; without one, as it does by default.

        Args:
            precision: Such as `int8`.
            field: Where in the request it stands, for the error.

        Raises:
            InvalidRequestError: It has no such precision.
            ModelNotReadyError: That one was refused.
        """
        if precision is None or precision == self.served.precision:
            return self.served
        found, manifest = self.others.get(precision), self.served.manifest
        if found is None:
            refused = manifest.refused_variants.items()
            why = "".join(f": {reason}" for name, reason in refused if name == precision)
            there = " and ".join(manifest.precisions)
            raise InvalidRequestError(
                f"{field} {precision!r} is none of model {manifest.name!r}, which has {there}{why}",
                field,
            )
        if isinstance(found, str):
            raise ModelNotReadyError(
                f"{precision} of model {manifest.name!r} is not ready: {found}", field
            )
        return found


class Loader:
    """Makes bundles serve.

    Args:
        engine: Runs their batches.
        metrics: Counts them.
        bounds: Of each model's scheduler.
        precision: What answers unless a request says otherwise, where a model has it; else fp32.
    """

    def __init__(
        self, engine: Engine, metrics: Metrics, bounds: Bounds, precision: Precision
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._bounds = bounds
        self._precision = precision

    def load(self, folder: Path) -> Loaded:
        """Make the bundle of one version's folder serve.

        Raises:
            BundleError: It is not as it should be; a bad variant refuses itself alone, unless it
                is the one that answers by default.
        """
        manifest = read_manifest(folder)
        default = self._precision if self._precision in manifest.precisions else "fp32"
        served = self._serve(folder, manifest, default)
        others: dict[str, Served | str] = {
            precision: self._serve_or_refuse(folder, manifest, precision)
            for precision in manifest.precisions
            if precision != default
        }
        return Loaded(served, others)

    def unload(self, loaded: Loaded) -> None:
        """Free a version, once all that it was asked is answered; not on the event loop."""
        for served in (loaded.served, *loaded.others.values()):
            if isinstance(served, Served):
                self._engine.remove(served.scheduler)
                if self._metrics.forget_model(served.scheduler.metrics):
                    self._info(served.manifest, served.precision).set(0)

    def _info(self, manifest: Manifest, precision: Precision) -> Gauge:
        about = (manifest.family, manifest.task, manifest.batching)
        return self._metrics.model_info.labels(manifest.name, manifest.version, precision, *about)

    def _serve_or_refuse(
        self, folder: Path, manifest: Manifest, precision: Precision
    ) -> Served | str:
        try:
            return self._serve(folder, manifest, precision)
        except Exception as error:  # noqa: BLE001 - the other precision serves all the same
            reason = str(error) if isinstance(error, BundleError) else repr(error)
        self._metrics.load_failures.inc()
        model = {"model": manifest.name, "version": manifest.version, "precision": precision}
        log.error("precision refused", **model, reason=reason)
        return reason

    def _serve(self, folder: Path, manifest: Manifest, precision: Precision) -> Served:
        model = OnnxModel(read_graph(folder, manifest, precision), manifest)
        tolerance = TOLERANCE if precision == "fp32" else manifest.variants[precision].tolerance
        check_invariance(model, self._bounds.chunk_steps or CHECKED_CHUNK, tolerance)
        metrics = self._metrics.of_model(manifest.name, manifest.version, precision)
        scheduler = Scheduler(model, self._bounds, calibrate(model, self._bounds), metrics)
        self._engine.add(scheduler)
        metrics.watch(
            lambda: self._engine.num_waiting(scheduler), lambda: scheduler.core.num_active
        )
        self._info(manifest, precision).set(1)
        return Served(manifest, scheduler, precision)
