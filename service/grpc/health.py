"""gRPC's standard health service: it says what readiness says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from grpc.aio import ServicerContext
from grpc_health.v1.health import aio
from grpc_health.v1.health_pb2 import HealthCheckResponse
from starlette.datastructures import State

from service.api.metadata import is_ready

REFRESH_S = 0.1  # for those who watch; who asks is told what is true then


class Health(aio.HealthServicer):  # type: ignore[misc]  # untyped
    """Whether services serve: all of them while the server is ready.

    Args:
        state: Of the application.
        services: Their names.
    """

    def __init__(self, state: State, services: Sequence[str]) -> None:
        super().__init__()
        self._state = state
        self._services = services
        self._said: bool | None = None

    async def Check(self, request: Any, context: ServicerContext) -> Any:  # noqa: N802 - gRPC's
        """What is true now."""
        await self.refresh()
        return await super().Check(request, context)

    async def refresh(self) -> None:
        """Tell those who watch, if it has changed."""
        ready = is_ready(self._state)
        if ready == self._said:
            return
        self._said = ready
        status = HealthCheckResponse.SERVING if ready else HealthCheckResponse.NOT_SERVING
        for service in self._services:
            await self.set(service, status)

    async def follow(self) -> None:
        """Go on refreshing."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)
