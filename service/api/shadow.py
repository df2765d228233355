"""What a shadow version would have answered: asked once the real answer is sent, and counted.

The real request is through by then. A shadow's runs come after all others of normal priority, and
are left out where anything to speak of waits, so that they take room from nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.api.results import Results
from service.engine.engine import Engine
from service.errors import ServiceError
from service.repository.loading import Loaded, Served
from service.schedulers.job import Job
from service.telemetry.metrics import Metrics

LOW_PRIORITY = 3
MAX_WAIT_S = 0.05
"""Of what is admitted already; beyond, shadows are skipped."""
TIMEOUT_S = 10.0


def compare_with(
    shadow: Loaded,
    served: Served,
    sequences: Sequence[NDArray[np.float32]],
    sent: Results,
    engine: Engine,
    metrics: Metrics,
) -> None:
    """Ask a shadow what was asked, and count whether it answers the same; on the event loop.

    Args:
        shadow: The version to ask, in the precision of the real one.
        served: What answered.
        sequences: That it was asked, (time_i, features) each.
        sent: Its answer.
        engine: Runs the shadow.
        metrics: Of the server.
    """
    manifest = shadow.served.manifest
    labels = (manifest.name, manifest.version)

    def count(outcome: str) -> None:
        metrics.shadow_requests.labels(*labels, outcome).inc()

    def on_done(job: Job) -> None:
        if job.failure is not None or not np.isfinite(job.logits).all():
            count("failed")
            return
        difference = np.abs(job.logits - sent.logits).max()
        agrees = (job.logits.argmax(axis=1) == sent.logits.argmax(axis=1)).all()
        metrics.shadow_difference.labels(*labels).observe(float(difference))
        count("agree" if agrees else "disagree")

    try:
        asked = shadow.get(served.precision)
        if not _take_the_same(asked, served, sequences):
            count("skipped")
            return
        engine.check_room(MAX_WAIT_S)
        engine.submit(asked.scheduler, sequences, TIMEOUT_S, on_done, LOW_PRIORITY)
    except ServiceError:  # it has no such precision, or there is no room
        count("skipped")


def _take_the_same(
    shadow: Served, served: Served, sequences: Sequence[NDArray[np.float32]]
) -> bool:
    """Whether the two models' answers to these sequences can be compared."""
    one, other = shadow.manifest, served.manifest
    return (
        one.inputs.features == other.inputs.features
        and one.outputs.labels == other.outputs.labels
        and max(map(len, sequences)) <= one.limits.max_length
    )
