"""What one server is made of, for whoever handles its requests."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from service.cache import ResultCache
from service.engine.engine import Engine
from service.repository.repository import Repository
from service.settings import Settings
from service.telemetry.metrics import Metrics

if TYPE_CHECKING:  # it needs an extra
    from service.telemetry.tracing import Tracing


@dataclasses.dataclass(frozen=True)
class Services:
    """What the handlers work with; one of each in a server."""

    settings: Settings
    metrics: Metrics
    repository: Repository
    engine: Engine
    cache: ResultCache | None
    tracing: Tracing | None = None
