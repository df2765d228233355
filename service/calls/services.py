"""What one server is made of, for whoever handles its requests."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from service.cache import ResultCache
from service.engine.engine import Engine
from service.repository.repository import Repository
from service.security.bodies import Bodies
from service.settings import Settings, max_load_bytes
from service.telemetry.metrics import Metrics

if TYPE_CHECKING:  # it needs an extra
    from service.telemetry.tracing import Tracing


@dataclasses.dataclass(frozen=True)
class Services:
    """What the handlers work with; one of each in a server.

    Args:
        settings: Of the server.
        metrics: All.
        repository: Of the models.
        engine: That runs them.
        cache: Of results, if there is one.
        bodies: Of the requests under way; made here.
        uploads: Of the requests to load models, which are longer; likewise.
    """

    settings: Settings
    metrics: Metrics
    repository: Repository
    engine: Engine
    cache: ResultCache | None
    tracing: Tracing | None = None
    bodies: Bodies = dataclasses.field(init=False)
    uploads: Bodies = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bodies", Bodies(self.settings.max_bodies_bytes))
        object.__setattr__(self, "uploads", Bodies(max_load_bytes(self.settings)))
