"""What a request says beside its numbers, read once: clients send the same words over and over.

The words are the JSON before binary tensors, or what stands around the one long array of numbers of
a JSON body. Where sequences have a few hundred lengths, there are a few hundred of them. What was
found right is kept with where the numbers lie, so that a request with words already known costs
little more than its numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.codec.simd import read_numbers
from service.manifest import Manifest

MAX_PLANS = 4_096
MAX_WORDS_BYTES = 1_024
DATA = b'"data":'

Arrays = dict[str, NDArray[Any]]
Key = tuple[str, str, str, int, bytes]


class WantedOutput(NamedTuple):
    """One tensor of the answer."""

    name: str
    is_binary: bool


class Words(NamedTuple):
    """A body without its numbers.

    Args:
        words: What comes before and behind them.
        start: Of the numbers in the body.
        stop: Behind their end.
        is_text: They are a flat JSON array; else binary tensors, to the body's end.
    """

    words: bytes
    start: int
    stop: int
    is_text: bool


def words_of(body: bytes, length: int) -> Words | None:
    """A body without its numbers; None if there are too many words to keep.

    Args:
        body: Of the request.
        length: Of its JSON.
    """
    if length < len(body):
        if length > MAX_WORDS_BYTES:
            return None
        return Words(body[:length], length, len(body), is_text=False)
    start = body.find(DATA, 0, MAX_WORDS_BYTES) + len(DATA)
    start += body.startswith(b" ", start)
    stop = body.find(b"]", start) + 1
    if not body.startswith(b"[", start) or not 0 < len(body) - (stop - start) <= MAX_WORDS_BYTES:
        return None
    return Words(body[:start] + body[stop:], start, stop, is_text=True)


class Place(NamedTuple):
    """Where a tensor's numbers lie; all of the numbers where they are text."""

    name: str
    dtype: np.dtype[Any]
    shape: list[int]
    num_values: int
    start: int  # in bytes, after the numbers' start


class Plan(NamedTuple):
    """What some words mean for one model."""

    request_id: str | None
    precision: str | None
    priority: int
    wanted_s: float | None
    outputs: list[WantedOutput]
    arrays: Arrays  # tensors whose values stand among the words
    places: list[Place]
    num_bytes: int  # of all binary tensors

    def arrays_of(self, body: bytes, words: Words) -> Arrays | None:
        """Every input tensor by name; binary ones in the body's own memory.

        Args:
            body: Of the request.
            words: Of the body, which this is the plan of.

        Returns:
            None if the numbers are no plain array of as many as there should be.
        """
        arrays = dict(self.arrays)
        if words.is_text:
            (place,) = self.places
            values = read_numbers(body[words.start : words.stop])
            if values is None or values.size != place.num_values:
                return None
            arrays[place.name] = values.reshape(place.shape)
        elif words.stop - words.start != self.num_bytes:
            return None
        else:
            for name, dtype, shape, _, start in self.places:
                arrays[name] = np.ndarray(shape, dtype, body, words.start + start)
        return arrays


class Plans:
    """The plans of a server; forgotten all at once when there are too many."""

    def __init__(self) -> None:
        self._plans: dict[Key, Plan] = {}

    def get(self, manifest: Manifest, words: Words) -> Plan | None:
        """The plan for a request, if its words are known.

        Args:
            manifest: Of the model that it is for.
            words: Of the request.
        """
        return self._plans.get(_key(manifest, words))

    def keep(self, manifest: Manifest, words: Words, plan: Plan) -> None:
        """Keep a plan that was found right for these words, whatever the numbers."""
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        self._plans[_key(manifest, words)] = plan


def _key(manifest: Manifest, words: Words) -> Key:
    return manifest.name, manifest.version, manifest.sha256, words.start, words.words
