"""What a request's words mean, taught to the lane: it then reads such requests without Python.

The words are the JSON before binary tensors, or what stands around the one long array of numbers of
a JSON body, but for the request's id: clients say the same ones over and over (`native/lane/`).
What was read slowly, and found right, says what they mean; what is not plain is taught to nobody,
and always read slowly.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from service import native
from service.codec.bodies import decode_json
from service.codec.infer import DECODER, InferBody
from service.errors import InvalidRequestError
from service.graphs.spec import SequenceSpec


class Numbers(NamedTuple):
    """Where a request has its numbers, as `native.Plan` takes it."""

    is_text: bool
    num_bytes: int
    inputs_start: int
    batch: int
    steps: int
    features: int
    lengths: Sequence[int]
    lengths_start: int


def numbers_of(read: InferBody, body: bytes, length: int, spec: SequenceSpec) -> Numbers | None:
    """Where the numbers are in every request with these words; None if that can't be said.

    Args:
        read: What the body says.
        body: Of the request.
        length: Of its JSON.
        spec: Of the model that it is for; its inputs are float32 (batch, time, features).
    """
    name, lengths_name = spec.inputs, spec.lengths
    inputs, lengths = read.arrays[name], read.arrays.get(lengths_name)
    batch, steps, features = inputs.shape
    is_text = length == len(body)
    places = {place.name: place for place in read.places}
    if not _are_cuts_right(body, length, name):
        return None
    if is_text:
        inputs_start, lengths_start = 0, 0
    elif name in places:
        inputs_start = places[name].start
        lengths_start = places[lengths_name].start if lengths_name in places else 0
    else:
        return None
    if lengths is None:
        counts = [steps] * batch
    else:
        counts = [] if lengths_name in places else lengths.ravel().tolist()
    return Numbers(
        is_text, read.num_bytes, inputs_start, batch, steps, features, counts, lengths_start
    )


def _are_cuts_right(body: bytes, length: int, name: str) -> bool:
    """Whether what is cut out of the words is the request's id and the inputs' data, and all of it.

    That is tried out: with an id and a number that nobody foresees in their places, they are it.
    """
    is_text = length == len(body)
    cuts = native.cuts_of(body, -1 if is_text else length)
    if cuts is None:
        return False
    numbers, request_id = cuts
    number = random.random()
    wanted_id: str | None = None
    fills: list[tuple[native.Span, bytes]] = []
    if is_text:
        fills.append((numbers, b"[%r]" % number))
    if request_id is not None:
        wanted_id = f"{random.getrandbits(128):032x}"
        fills.append((request_id, wanted_id.encode()))
    probe = body[:length]
    for (start, stop), fill in sorted(fills, reverse=True):
        probe = b"".join((probe[:start], fill, probe[stop:]))
    try:
        request = decode_json(DECODER, probe)
    except InvalidRequestError:  # they are a part of nested arrays
        return False
    filled = [tensor.name for tensor in request.inputs if tensor.data == [number]]
    return request.id == wanted_id and filled == ([name] if is_text else [])
