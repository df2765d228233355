"""What stands between a user's words and a graph's tensors: one class a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import msgspec

from service.codec.bodies import decode_json
from service.errors import UnsupportedMediaTypeError
from service.graphs.model import Arrays
from service.graphs.spec import SequenceSpec
from service.manifest import Contract

CheckCount = Callable[[int, str], None]


class Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What every task may be asked; each adds its own fields."""

    explain: bool = False
    timeout_s: float | None = None
    precision: str | None = None
    priority: int = 0

    inputs: ClassVar[tuple[str, ...]] = ()
    """Fields that hold a list of inputs, each a sequence of its own."""

    def check_counts(self, check_count: CheckCount) -> None:
        """Refuse too many inputs before anything is made of them; none at all is refused later.

        Args:
            check_count: Refuses so many sequences in a field, if they are too many.
        """
        for field in self.inputs:
            given = getattr(self, field)
            if isinstance(given, list) and given:
                check_count(len(given), field)


class Bundle(NamedTuple):
    """What a task knows of its model."""

    manifest: Contract
    read_file: Callable[[str], bytes]
    """Reads one of the manifest's `files`, verified. Raises BundleError."""
    spec: SequenceSpec | None = None
    """What its graph takes and answers, where that is not as the manifest has it."""


class Work(NamedTuple):
    """What a request comes to.

    Args:
        asked: What the model's scheduler makes a job of: of most, sequences (time_i, *step_shape).
        field: Where in the request they came from, such as `texts`.
        answer: Makes of the results, by output, axis 0 the sequences, a prediction for each.
        num_unknown: Characters or words of the input that the model's vocabulary lacks.
        num_missing: Values that the caller left unknown.
        num_items: Of what those are some: characters, words or values of the input.
    """

    asked: Any
    field: str
    answer: Callable[[Arrays], list[dict[str, Any]]]
    num_unknown: int = 0
    num_missing: int = 0
    num_items: int = 0


class Task(ABC):
    """Reads requests to a bundle, and words its answers.

    Args:
        bundle: The model's.

    Raises:
        BundleError: A file of the bundle is not as the task needs it.
    """

    request: ClassVar[type[Request]]
    """What it is asked, described by its fields."""
    prediction: ClassVar[type]
    """What it says of one sequence: a TypedDict."""
    example: dict[str, Any]
    """A request that is answered when pasted."""
    has_slow_answers: ClassVar[bool] = False
    """Whether answers are better not made on the event loop."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self.request)

    def read_json(self, body: bytes, check_count: CheckCount) -> tuple[Request, Work]:
        """What a JSON body asks.

        Args:
            body: Of the request.
            check_count: See `Request.check_counts`.

        Raises:
            InvalidRequestError: It is not JSON, or a field is of another type.
            InvalidSequenceError: An input does not fit the model, or there are too many.
        """
        request = decode_json(self.decoder, body)
        request.check_counts(check_count)
        return request, self.read(request)

    def read_recording(self, body: bytes, query: Mapping[str, str]) -> tuple[Request, Work]:
        """What a recording as the body asks, with the options in the query; likewise."""
        raise UnsupportedMediaTypeError(
            f"{self.manifest.name} takes application/json, not recordings", "Content-Type"
        )

    @abstractmethod
    def read(self, request: Any) -> Work:
        """What a request, of the task's own kind, asks; likewise."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What a user should know of this model, beside what all models say."""
