"""What a request's head led to: the model that it asks, and what its handler may ask about it."""

from __future__ import annotations

import time

from service import native
from service.calls.asked import Handler
from service.calls.exchange import Head
from service.calls.services import Services
from service.errors import InvalidRequestError, InvalidSequenceError
from service.repository.routes import Routed
from service.repository.served import Served


class Addressed:
    """A request that has just come.

    Args:
        services: Of the server.
        handler: Of the route.
        head: Of the request.
    """

    def __init__(self, services: Services, handler: Handler, head: Head) -> None:
        self.head = head
        self.settings = services.settings
        self.started_s = time.perf_counter()
        self._services = services
        self._handler = handler
        self._served: Served | None = None
        self._routed: Routed | None = None

    def _find_way(self) -> None:
        head = self.head
        self._routed = self._services.repository.route(head.name, head.version)
        self._served = self._routed.loaded.served

    @property
    def served(self) -> Served:
        """The model that the path names."""
        assert self._served is not None, "the call was let in"
        return self._served

    @property
    def routed(self) -> Routed:
        """Where the path, and chance, led."""
        assert self._routed is not None, "the call was let in"
        return self._routed

    def served_with(self, precision: str, field: str) -> Served:
        """The same model, computing with this precision.

        Args:
            precision: Such as `int8`.
            field: Where in the request it stands.

        Raises:
            InvalidRequestError: The model has no such precision.
            ModelNotReadyError: It does not serve now.
        """
        return self.routed.loaded.get(precision, field)

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
        return min(wanted_s, allowed_s) - (time.perf_counter() - self.started_s)

    def tally_of(self, outcome: str) -> native.Distribution:
        """The tally of the requests to this model that ended like this one."""
        model = version = ""  # a caller's unknown names must not become labels
        if self._served is not None:
            model, version = self._served.name, self._served.version
        return self._services.metrics.outcome(model, version, self._handler.protocol, outcome)
