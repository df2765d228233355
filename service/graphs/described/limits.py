"""What ids and how many steps a described graph takes, where its description does not say: that is
tried out, as what is beyond fails it.

A graph that clips or wraps fails on nothing, and has no such limit. Neither has one whose failures
say something else: those that come and go, as where a length must be a multiple.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.description import Description
from service.errors import BundleError, OutOfMemoryError
from service.graphs.described.layout import LaidOutModel
from service.graphs.model import check_outputs
from service.graphs.runs import check_not_ended
from service.graphs.spec import SequenceSpec

LARGEST_ID = 1 << 20
SLOW_S = 0.1
"""Of a run: nothing larger is tried."""
BEYOND = (1, 2, 3, 7)
"""A limit is one if all that is so much beyond it fails."""


def with_limits(model: LaidOutModel, description: Description) -> LaidOutModel:
    """The same, with the limits that are said, or found.

    Raises:
        BundleError: A vocabulary is said of what is no ids.
    """
    said, spec = description.inputs.vocabulary, model.spec
    num_values, has_ids = math.prod(spec.step_shape), spec.dtype.kind in "iu"
    if said is not None and not has_ids:
        raise BundleError(f"inputs.vocabulary: {spec.inputs} is {spec.dtype}, no whole numbers")
    if said is None and has_ids and num_values == 1:
        said = _find_vocabulary(model)
    if said is not None:
        spec = dataclasses.replace(spec, num_tokens=(said,) * num_values)
    is_said = "limits" in description.model_fields_set and (
        "max_length" in description.limits.model_fields_set
    )
    if not is_said and not spec.state:  # with a state, a run takes no more than a chunk
        spec = dataclasses.replace(spec, max_length=_find_longest(model))
    return dataclasses.replace(model, spec=spec)


def said_limits(spec: SequenceSpec) -> dict[str, str]:
    """What the metadata says of them."""
    said = {"max_length": str(spec.max_length)}
    if spec.num_tokens:
        said["vocabulary"] = ", ".join(map(str, sorted(set(spec.num_tokens))))
    return said


def _find_vocabulary(model: LaidOutModel) -> int | None:
    """How many ids it takes; None: any."""
    spec = model.spec
    length = min(max(spec.min_length, 2), spec.max_length)
    most = min(int(np.iinfo(spec.dtype).max) // 4, LARGEST_ID)

    def takes(number: int) -> bool:
        sequence = np.zeros((1, length, *spec.step_shape), spec.dtype)
        sequence[0, -1] = number
        return _runs(model, sequence)

    last = _last_taken(takes, 1, most)
    return None if last is None else last + 1


def _find_longest(model: LaidOutModel) -> int:
    """How many steps it takes, as many as it may at most."""
    spec = model.spec

    def takes(length: int) -> bool:
        return _runs(model, np.zeros((1, length, *spec.step_shape), spec.dtype))

    last = _last_taken(takes, min(spec.min_length, spec.max_length), spec.max_length)
    return spec.max_length if last is None else last


def _last_taken(takes: Callable[[int], bool], first: int, most: int) -> int | None:
    """The last number that is taken; None: no such limit was found below `most`."""
    last = first
    while True:
        if last >= most:
            return None
        beyond, began_s = min(2 * last, most), time.perf_counter()
        if not takes(beyond):
            break
        last = beyond
        if time.perf_counter() - began_s > SLOW_S:
            return None
    while beyond - last > 1:
        middle = (last + beyond) // 2
        last, beyond = (middle, beyond) if takes(middle) else (last, middle)
    is_limit = takes(last) and not any(takes(last + more) for more in (*BEYOND, last))
    return last if is_limit else None


def _runs(model: LaidOutModel, inputs: NDArray[Any]) -> bool:
    """Whether a batch of one runs and gives what it should; or only memory is short."""
    spec, num_steps = model.spec, inputs.shape[1]
    state = {it.input: np.full((1, *it.shape), it.initial, np.float32) for it in spec.state}
    try:
        outputs = model.run(inputs, np.array([num_steps]), state)
        check_outputs(spec, outputs, 1, num_steps)
    except OutOfMemoryError:
        return True
    except Exception:  # noqa: BLE001 - of any kind: it does not take these
        check_not_ended()
        return False
    return True
