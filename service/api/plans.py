"""What the JSON before binary tensors says, read once: clients send the same words over and over.

Such a JSON names tensors, shapes and options, and holds no numbers; where sequences have a few
hundred lengths, there are a few hundred of them. What was found right is kept with where in the
body each tensor lies, so that a request with words already known is read in two array views.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.api.answers import WantedOutput

MAX_PLANS = 4_096
MAX_JSON_BYTES = 1_024


class Place(NamedTuple):
    """Where a binary tensor lies."""

    name: str
    dtype: np.dtype[Any]
    shape: list[int]
    num_values: int
    start: int  # after the JSON's end


class Plan(NamedTuple):
    """What one such JSON means for one model."""

    request_id: str | None
    precision: str | None
    priority: int
    wanted_s: float | None
    outputs: list[WantedOutput]
    arrays: dict[str, NDArray[Any]]  # tensors whose values stand in the JSON itself
    places: list[Place]
    num_bytes: int  # of all binary tensors

    def arrays_of(self, body: bytes, length: int) -> dict[str, NDArray[Any]]:
        """Every input tensor by name, in the body's own memory.

        Args:
            body: Of the request, which is as long as the plan says.
            length: Of its JSON.
        """
        arrays = dict(self.arrays)
        for name, dtype, shape, num_values, start in self.places:
            arrays[name] = np.frombuffer(body, dtype, num_values, length + start).reshape(shape)
        return arrays


class Plans:
    """The plans of a server; forgotten all at once when there are too many."""

    def __init__(self) -> None:
        self._plans: dict[tuple[str, bytes], Plan] = {}

    def get(self, graph: str, body: bytes, length: int) -> Plan | None:
        """The plan for a request, if its words are known.

        Args:
            graph: Which model it is for, by its digest.
            body: Of the request.
            length: Of its JSON.
        """
        plan = self._plans.get((graph, body[:length]))
        return plan if plan is not None and plan.num_bytes == len(body) - length else None

    def keep(self, graph: str, body: bytes, length: int, plan: Plan) -> None:
        """Keep a plan that was found right for this request."""
        if length > MAX_JSON_BYTES or not plan.places:
            return
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        self._plans[graph, body[:length]] = plan
