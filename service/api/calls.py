"""One request through the engine, whatever its protocol: its deadline, its caller, its metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

import numpy as np
from fastapi.routing import APIRoute
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from service.engine.engine import Engine
from service.engine.job import Result
from service.errors import (
    CallerGoneError,
    InvalidRequestError,
    InvalidSequenceError,
    ServiceError,
)
from service.metrics import Metrics
from service.repository import Repository, Served
from service.settings import Settings


class RawRoute(APIRoute):
    """A route that FastAPI documents but does not come between: the endpoint gets the request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        return self.endpoint


class Call:
    """A context manager around one inference request; on leaving, it counts the outcome.

    Args:
        request: The request.
        protocol: Label of the metrics, such as `v2`.
    """

    def __init__(self, request: Request, protocol: str) -> None:
        self.request = request
        self.settings: Settings = request.app.state.settings
        self._protocol = protocol
        self._started_s = time.perf_counter()
        self._model = self._version = ""  # a caller's unknown names must not become labels

    def __enter__(self) -> Self:
        """Start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Count, and let any error go on to its handler."""
        metrics: Metrics = self.request.app.state.metrics
        outcome = "ok"
        if isinstance(error, ServiceError):
            outcome = error.code
        elif error is not None:
            outcome = "cancelled" if isinstance(error, asyncio.CancelledError) else "internal"
        labels = (self._model, self._version, self._protocol, outcome)
        metrics.requests.labels(*labels).inc()
        metrics.request_duration.labels(*labels).observe(time.perf_counter() - self._started_s)

    def served(self) -> Served:
        """The model that the path names.

        Raises:
            ModelNotFoundError: There is none.
            ModelNotReadyError: It does not serve now.
        """
        repository: Repository = self.request.app.state.repository
        path = self.request.path_params
        served = repository.get(path["name"], path.get("version"))
        self._model, self._version = served.manifest.name, served.manifest.version
        return served

    def check_count(self, count: int, field: str) -> None:
        """Refuse requests with no sequence, or with more than one request may bring.

        Raises:
            InvalidSequenceError: Naming the limit.
        """
        limit = self.settings.max_request_sequences
        if count < 1:
            raise InvalidSequenceError(f"{field} is empty", field)
        if count > limit:
            raise InvalidSequenceError(
                f"{field} brings {count} sequences, one request may bring {limit}", field
            )

    def timeout_s(self, wanted_s: float | None, field: str) -> float:
        """The time left: what the request asks for, but never more than the server allows.

        Raises:
            InvalidRequestError: It asks for none.
        """
        allowed_s = self.settings.request_timeout_s
        if wanted_s is None:
            wanted_s = allowed_s
        if not wanted_s > 0:
            raise InvalidRequestError(f"{field} must be above 0, not {wanted_s:g}", field)
        return min(wanted_s, allowed_s) - (time.perf_counter() - self._started_s)

    async def infer(
        self, served: Served, sequences: list[NDArray[np.float32]], timeout_s: float, field: str
    ) -> list[Result]:
        """Run checked sequences, (time_i, features) each, and wait; in order.

        Args:
            served: The model.
            sequences: What to run.
            timeout_s: As long as it may take.
            field: Where in the request the sequences are.

        Raises:
            InvalidSequenceError: So large are the values that the graph's answer is not finite.
            CallerGoneError: The client left; what had not run was dropped.
            OverloadedError, InferenceTimeoutError, InferenceError: See the engine.
        """
        engine: Engine = self.request.app.state.engine
        answer = asyncio.ensure_future(engine.predict(served.scheduler, sequences, timeout_s))
        gone = asyncio.ensure_future(_disconnected(self.request))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise CallerGoneError("the client closed the connection")
            results = answer.result()
        finally:
            answer.cancel()
            gone.cancel()
        for row, result in enumerate(results):
            if not np.isfinite(result.logits).all():
                raise InvalidSequenceError(
                    f"{field}[{row}] has no finite answer: {served.manifest.name} computes with "
                    "float32, which its values exceed",
                    f"{field}[{row}]",
                )
        return results


async def _disconnected(request: Request) -> None:
    """Return when the client has left; its body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def json_response(body: bytes) -> Response:
    """An answer that is JSON already."""
    return Response(body, media_type="application/json")
