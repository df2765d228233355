"""What a shadow version would have answered: asked once the real answer is sent, and counted.

The real request is through by then. A shadow's runs come after all others of normal priority, and
are left out where anything to speak of waits, so that they take room from nobody.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from service.engine.engine import Engine
from service.errors import ServiceError
from service.graphs.model import Arrays
from service.repository.served import Loaded, Served
from service.schedulers.job import Job
from service.telemetry.metrics import Metrics

LOW_PRIORITY = 3
MAX_WAIT_S = 0.05
"""Of what is admitted already; beyond, shadows are skipped."""
TIMEOUT_S = 10.0
TOLERANCE = 1e-3  # of the answers' scale, for what has no labels


def compare_with(
    shadow: Loaded, served: Served, work: Any, sent: Arrays, engine: Engine, metrics: Metrics
) -> None:
    """Ask a shadow what was asked, and count whether it answers the same; on the event loop.

    Args:
        shadow: The version to ask, in the precision of the real one.
        served: What answered.
        work: That it was asked: see `Asked`.
        sent: Its answer.
        engine: Runs the shadow.
        metrics: Of the server.
    """
    labels = (shadow.served.name, shadow.served.version)

    def count(outcome: str) -> None:
        metrics.shadow_requests.labels(*labels, outcome).inc()

    def on_done(job: Job) -> None:
        try:
            if job.failure is not None:
                raise job.failure
            found = asked.scheduler.results(job)
        except ServiceError:
            count("failed")
            return
        difference = _difference(sent, found)
        if not np.isfinite(difference):
            count("failed")
            return
        metrics.shadow_difference.labels(*labels).observe(difference)
        count("agree" if _agree(served, sent, found, difference) else "disagree")

    try:
        asked = shadow.get(served.precision)
        if not _take_the_same(asked, served, work):
            count("skipped")
            return
        engine.check_room(MAX_WAIT_S)
        engine.submit(asked.scheduler, work, TIMEOUT_S, on_done, LOW_PRIORITY)
    except ServiceError:  # it has no such precision, or there is no room
        count("skipped")


def _take_the_same(shadow: Served, served: Served, work: Any) -> bool:
    """Whether the two models' answers to this can be compared: texts are not."""
    if served.decodes or shadow.signature != served.signature or _labels(shadow) != _labels(served):
        return False
    spec = shadow.sequences
    return spec is None or max(map(len, work)) <= spec.max_length


def _labels(served: Served) -> list[str]:
    return served.manifest.outputs.labels if served.manifest else []


def _difference(sent: Arrays, found: Arrays) -> float:
    """The largest of any number; infinite where shapes or other values differ."""
    largest = 0.0
    for name, one in sent.items():
        other = found[name]
        if one.shape != other.shape:
            return np.inf
        if one.dtype.kind != "f":
            largest = max(largest, 0.0 if (one == other).all() else 1.0)
        elif one.size:
            with np.errstate(invalid="ignore"):
                largest = max(largest, float(np.abs(one - other).max()))
    return largest


def _agree(served: Served, sent: Arrays, found: Arrays, difference: float) -> bool:
    """Whether they say the same: the same labels, or nearly the same numbers."""
    if _labels(served):
        assert served.manifest is not None
        logits = served.manifest.outputs.logits
        return bool((sent[logits].argmax(axis=-1) == found[logits].argmax(axis=-1)).all())
    scale = max(
        (float(np.abs(one).max(initial=0.0)) for one in sent.values() if one.dtype.kind == "f"),
        default=0.0,
    )
    return difference <= TOLERANCE * max(1.0, scale)
