"""As many open files as the connections need."""

from __future__ import annotations

import resource

import structlog

from service.settings import Settings

log = structlog.get_logger(__name__)

OTHER_FILES = 256
"""That a worker has open besides: libraries, models, gRPC's connections."""


def with_files(settings: Settings) -> Settings:
    """Allow this process what its connections need; where that is too much, fewer connections.

    Without a file left it could not accept the next connection, nor see which to close.
    """
    wanted = settings.max_connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= wanted:
        return settings
    allowed = wanted if hard == unlimited else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == wanted:
        return settings
    most = max(allowed - OTHER_FILES, 1)
    log.warning("fewer connections: too few open files are allowed", max_connections=most)
    return settings.model_copy(update={"max_connections": most})
