"""What a request wants, and what finds that out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from service import native
from service.calls.exchange import Answer
from service.graphs.model import Arrays
from service.repository.served import Served

if TYPE_CHECKING:
    from service.calls.call import Call


class Asked(NamedTuple):
    """What a request wants.

    Args:
        served: The model.
        work: What its scheduler makes a job of: sequences, (time_i, ...) each; checked.
        field: Where in the request they are, for a refusal of answers that are not finite; empty
            where such answers are as good as others.
        timeout_s: As long as it may take from now on.
        priority: 1 (first) to 3.
        answer: Makes the answer of the results.
        plan: Says what the model is to do with such a request without reading it, if that can be
            said.
        has_slow_answer: Whether the answer is better not made on the event loop.
    """

    served: Served
    work: Any
    field: str
    timeout_s: float
    priority: int
    answer: Callable[[Arrays], Answer]
    plan: Callable[[Served], native.Plan | None] | None = None
    has_slow_answer: bool = False


class Handler(NamedTuple):
    """What reads and answers the requests of one hot route.

    Args:
        protocol: Label of the metrics, such as `v2`.
        read: What a body asks, which is bytes or what the protocol's own library made of them; or,
            where finding out takes long, what finds out, in a thread. Raises a ServiceError for
            what can't be answered.
    """

    protocol: str
    read: Callable[[Call, Any], Asked | Callable[[], Asked]]
