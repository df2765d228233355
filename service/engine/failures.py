"""What callers are told of a run that failed."""

from __future__ import annotations

import structlog

from service.errors import InferenceError, ServiceError
from service.schedulers.scheduler import Scheduler

log = structlog.get_logger(__name__)


def failure_of(scheduler: Scheduler, error: Exception) -> ServiceError:
    """What callers are told of an error of a run; what they can't help is logged.

    Args:
        scheduler: Of the model.
        error: onnxruntime's, or ours.
    """
    about = {"model": scheduler.name, "version": scheduler.version}
    if not isinstance(error, ServiceError):
        log.error("batch failed", **about, exc_info=error)
        failure = InferenceError(f"{scheduler.name} failed on this batch")
        failure.__cause__ = error
        return failure
    if error.status_code >= 500:
        log.error("batch not run", **about, reason=error.message)
    return error
