"""What a request's words mean, taught to the lane: it then reads such requests without Python.

The words are the JSON before binary tensors, or what stands around the one long array of numbers of
a JSON body: clients say the same ones over and over (`native/lane/`). What was read slowly, and
found right, says what they mean; what is not plain is taught to nobody, and always read slowly.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from service import native
from service.codec.infer import DECODER, InferBody
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
    name, lengths_name = spec.inputs, spec.lengths_name
    inputs, lengths = read.arrays[name], read.arrays.get(lengths_name)
    batch, steps, features = inputs.shape
    is_text = length == len(body)
    places = {place.name: place for place in read.places}
    if is_text:
        if not _are_inputs(body, name):
            return None
        inputs_start, lengths_start = 0, 0
    elif name in places:
        inputs_start = places[name].start
        lengths_start = places[lengths_name].start if lengths_name in places else 0
    else:
        return None
    if lengths is None:
        counts = [steps] * batch
    else:
        counts = [] if lengths_name in places else lengths.tolist()
    return Numbers(
        is_text, read.num_bytes, inputs_start, batch, steps, features, counts, lengths_start
    )


def _are_inputs(body: bytes, name: str) -> bool:
    """Whether the one array of numbers is the inputs' data, whatever is in it.

    That is tried out: with a number that nobody foresees in their place, it is the data.
    """
    found = native.numbers_of(body, -1)
    if found is None:
        return False
    start, stop, _ = found
    number = random.random()
    probe = b"".join((body[:start], b"[%r]" % number, body[stop:]))
    try:
        tensors = [tensor for tensor in DECODER.decode(probe).inputs if tensor.data == [number]]
    except msgspec.MsgspecError:  # they are a part of nested arrays
        return False
    return [tensor.name for tensor in tensors] == [name]
