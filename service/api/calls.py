"""One inference request, whatever its protocol: its deadline, its errors, its metrics."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from service.api.exchange import Answer, Exchange, refusal
from service.cache import ResultCache, cache_key
from service.engine.engine import Engine
from service.engine.job import NORMAL_PRIORITY, PATIENCE, Result
from service.errors import (
    InvalidRequestError,
    InvalidSequenceError,
    ServiceError,
    UnsupportedMediaTypeError,
)
from service.metrics import Metrics
from service.repository import Repository, Served
from service.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Services:
    """What the handlers work with; one of each in a server."""

    settings: Settings
    metrics: Metrics
    repository: Repository
    engine: Engine
    cache: ResultCache | None


class Call:
    """One request on its way to an answer.

    Args:
        services: Of the server.
        exchange: The request.
        protocol: Label of the metrics, such as `v2`.
    """

    def __init__(self, services: Services, exchange: Exchange, protocol: str) -> None:
        self.exchange = exchange
        self.settings = services.settings
        self._services = services
        self._protocol = protocol
        self._started_s = exchange.started_s
        self._model = self._version = ""  # a caller's unknown names must not become labels

    def served(self, precision: str | None = None, field: str = "") -> Served:
        """The model that the path names.

        Args:
            precision: It must compute with, if any.
            field: Where in the request the precision stands.

        Raises:
            ModelNotFoundError: There is none.
            ModelNotReadyError: It does not serve now.
            InvalidRequestError: It has no such precision.
        """
        exchange = self.exchange
        repository = self._services.repository
        served = repository.get(exchange.name, exchange.version, precision, field)
        self._model, self._version = served.manifest.name, served.manifest.version
        return served

    def check_encoding(self) -> None:
        """Refuse a compressed body.

        Raises:
            UnsupportedMediaTypeError: It is.
        """
        if b"content-encoding" not in self.exchange.fields:
            return
        encoding = self.exchange.header(b"content-encoding")
        if encoding.lower() not in ("", "identity"):
            raise UnsupportedMediaTypeError(
                f"content encoding {encoding} is not read; send the body as it is",
                "Content-Encoding",
            )

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

    async def decoded(self, work: Callable[[], T], cost_bytes: int) -> T:
        """The result of decoding: at once if little, else in a thread, so that the loop goes on.

        Args:
            work: Decodes.
            cost_bytes: As much work as this much JSON.
        """
        if cost_bytes <= self.settings.inline_body_bytes:
            return work()
        return await asyncio.to_thread(work)

    async def infer(
        self,
        served: Served,
        sequences: list[NDArray[np.float32]],
        timeout_s: float,
        priority: int,
        field: str,
    ) -> Results:
        """Run checked sequences, (time_i, features) each, and wait; in order.

        Args:
            served: The model.
            sequences: What to run.
            timeout_s: As long as it may take.
            priority: See `priority_of`.
            field: Where in the request the sequences are.

        Raises:
            InvalidSequenceError: So large are the values that the graph's answer is not finite.
            CallerGoneError: The client left; what had not run was dropped.
            OverloadedError, InferenceTimeoutError, InferenceError: See the engine.
        """
        cache = self._services.cache
        key = cache_key(served.manifest, served.precision, sequences) if cache else b""
        held = cache.get(key) if cache else None
        results = held
        if results is None:
            work = self._services.engine.predict(served.scheduler, sequences, timeout_s, priority)
            results = await self.exchange.while_there(work)
        logits = _stacked(results)
        if not np.isfinite(logits).all():
            row = int(np.isfinite(logits).all(axis=1).argmin())
            raise InvalidSequenceError(
                f"{field}[{row}] has no finite answer: {served.manifest.name} computes with "
                "float32, which its values exceed",
                f"{field}[{row}]",
            )
        if cache and held is None:
            cache.put(key, results)
        return Results(logits, [result.weights for result in results])

    def count(self, outcome: str) -> None:
        """Count how the request ended: `ok` or the error's code."""
        elapsed_s = time.perf_counter() - self._started_s
        self._services.metrics.answered(
            self._model, self._version, self._protocol, outcome, elapsed_s
        )


def _stacked(results: list[Result]) -> NDArray[np.float32]:
    """Logits (batch, classes)."""
    if len(results) == 1:
        return results[0].logits[None]
    return np.stack([result.logits for result in results])


def priority_of(wanted: object, field: str) -> int:
    """The engine's priority, 1 (first) to 3, of a request's: 0 is normal, 2; above 3 is 3.

    Raises:
        InvalidRequestError: It is no unsigned integer.
    """
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 0:
        raise InvalidRequestError(f"{field} must be an unsigned integer; 1 comes first", field)
    return min(wanted, max(PATIENCE)) or NORMAL_PRIORITY


class Results(NamedTuple):
    """The answers to a request's sequences, in their order."""

    logits: NDArray[np.float32]  # (batch, classes), finite
    weights: list[NDArray[np.float32] | None]  # (time_i,) each; None where the model has none


class Handler(NamedTuple):
    """What answers one of the hot routes."""

    protocol: str
    infer: Callable[[Call], Coroutine[Any, Any, Answer]]


async def respond(services: Services, exchange: Exchange, handler: Handler) -> Answer:
    """The handler's answer or its error's, counted; only cancelling this raises."""
    call = Call(services, exchange, handler.protocol)
    outcome = "cancelled"
    try:
        services.engine.check_room(services.settings.request_timeout_s)
        answer = await handler.infer(call)
        outcome = "ok"
    except ServiceError as error:
        outcome, answer = error.code, refusal(error)
        if error.status_code >= 500:
            log.warning(
                "request refused",
                request_id=exchange.request_id,
                path=exchange.path,
                code=error.code,
                error=error.message,
            )
    except Exception:
        outcome = "internal"
        log.exception("request failed", request_id=exchange.request_id, path=exchange.path)
        answer = refusal(ServiceError(f"internal error; request {exchange.request_id}"))
    finally:
        call.count(outcome)
    return answer
