"""Structured logs: one JSON object a line on standard error, uvicorn's own included."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

import structlog

from service.telemetry.audit import LOGGER
from service.telemetry.log_writer import LogWriter

log = structlog.get_logger(__name__)


def configure_logs(level: str, **fields: object) -> None:
    """Send structlog's and the standard library's records through one JSON renderer.

    Args:
        level: Of what is logged.
        fields: Of every line.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        lambda logger, method, event: {**event, **fields},
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    writer = LogWriter(sys.stderr.fileno())
    writer.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [writer]
    root.setLevel(level.upper())
    logging.getLogger(LOGGER).setLevel(logging.INFO)  # whatever else is logged
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # what Python itself would write to standard error, and wait there
    logging.captureWarnings(True)
    sys.excepthook = _on_exception
    threading.excepthook = _on_thread_exception


def dropped_lines() -> dict[str, int]:
    """Lines that this process's log is missing, by why; see `LogWriter`."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogWriter):
            return handler.dropped
    return {}


def _on_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    log.critical("ended by an error", exc_info=(kind, error, trace))


def _on_thread_exception(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None:
        about = given.exc_type, given.exc_value, given.exc_traceback
        log.critical("a thread ended by an error", exc_info=about)
