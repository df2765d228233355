"""An inference request, whatever its protocol, once its tensors are read: what to run, for whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import native
from service.calls.asked import Asked
from service.calls.call import Call
from service.calls.exchange import Answer
from service.codec.infer import InferBody, WantedOutput
from service.codec.tensors import check_sequences
from service.errors import InvalidRequestError, UnsupportedError
from service.graphs.model import Arrays
from service.graphs.spec import Axis, SequenceSpec, Signature
from service.repository.served import Served


def ask(
    call: Call,
    read: InferBody,
    answer: Callable[[Arrays], Answer],
    plan: Callable[[Served], native.Plan | None] | None = None,
) -> Asked:
    """What a request asks of its model.

    Args:
        call: Of the request.
        read: What it says.
        answer: Makes the answer of the results.
        plan: See `Asked`.

    Raises:
        ServiceError: It can't be done; the field named.
    """
    served = call.served
    if served.decodes:
        raise UnsupportedError(f"{served.name} makes texts: ask /v1/models/{served.name}/predict")
    if read.precision is not None:
        served = call.served_with(read.precision, "parameters.precision")
    work: Any = read.arrays
    field = ""
    if served.sequences is not None:
        _check_classes(read.outputs, served.sequences)
        work, field = _rows(call, read.arrays, served.sequences), served.sequences.inputs
    else:
        work = _in_shape(read.arrays, served.signature, served.scheduler.is_batchable)
        _check_not_empty(work, served.signature)
    timeout_s = call.timeout_s(read.wanted_s, "parameters.timeout")
    return Asked(served, work, field, timeout_s, read.priority, answer, plan)


def _in_shape(arrays: Arrays, signature: Signature, batches: bool) -> Arrays:
    """Refuse tensors of another rank or with other fixed axes than the graph takes."""
    specs = {spec.name: spec for spec in signature.inputs}
    taken = {}
    for index, (name, given) in enumerate(arrays.items()):
        wanted = specs[name].shape
        has_one_more = given.shape[len(wanted) :] == (1,)  # as Triton's clients have single values
        array = given[..., 0] if has_one_more and specs[name].is_single(batches) else given
        if specs[name].has_rank and (
            array.ndim != len(wanted)
            or any(fixed not in (-1, size) for fixed, size in zip(wanted, array.shape, strict=True))
        ):
            field = f"inputs[{index}].shape"
            raise InvalidRequestError(
                f"{field} is {list(given.shape)}, the model takes {list(wanted)} for {name}", field
            )
        taken[name] = array
    return taken


def _check_not_empty(arrays: Arrays, signature: Signature) -> None:
    """Refuse axes of length 0, but those that the graph was seen to take so, all at once.

    An operator that is never asked for nothing may divide by its size, and that ends the process.
    """
    if all(array.size for array in arrays.values()):
        return
    always = {
        (spec.name, axis)
        for spec in signature.inputs
        for axis, size in enumerate(spec.shape)
        if size == 0
    }
    empty = [
        (name, axis)
        for name, array in arrays.items()
        for axis, size in enumerate(array.shape)
        if size == 0 and (name, axis) not in always
    ]
    if not empty or frozenset(empty) in signature.may_be_empty:
        return
    known = frozenset[Axis]().union(*signature.may_be_empty)
    name = next((name for name, axis in empty if (name, axis) not in known), empty[0][0])
    field = f"inputs[{list(arrays).index(name)}].shape"
    raise InvalidRequestError(
        f"{field} is {list(arrays[name].shape)}: {name} has an axis of length 0, "
        "with which the model was not seen to run",
        field,
    )


def _check_classes(outputs: Sequence[WantedOutput], spec: SequenceSpec) -> None:
    """Refuse to rank the values of all steps together: of different steps, and of padding."""
    for index, output in enumerate(outputs):
        if output.num_classes and any(
            it.name == output.name and it.per_step and it.shape for it in spec.outputs
        ):
            field = f"outputs[{index}].parameters.classification"
            raise InvalidRequestError(
                f"{field}: {output.name} has values of each step; ask for them as they are, or "
                "for labels by /v1/models/{name}/predict, if the model has a task",
                field,
            )


def _rows(call: Call, arrays: Arrays, spec: SequenceSpec) -> list[NDArray[Any]]:
    """Cut (batch, time, ...) into checked sequences of their true lengths."""
    inputs, name = arrays[spec.inputs], spec.inputs
    lengths, lengths_name = arrays.get(spec.lengths), spec.lengths
    if inputs.ndim != 2 + len(spec.step_shape):
        axes = ", features" if spec.step_shape else ""
        raise InvalidRequestError(
            f"{name} has shape {list(inputs.shape)}, not (batch, time{axes})", name
        )
    batch_size, num_steps = inputs.shape[:2]
    call.check_count(batch_size, name)
    if lengths is None:
        counts = [num_steps] * batch_size
    elif lengths.shape in ((batch_size,), (batch_size, 1)):
        counts = lengths.ravel().tolist()
    else:
        raise InvalidRequestError(
            f"{lengths_name} has shape {list(lengths.shape)}, {name} has {batch_size} rows",
            lengths_name,
        )
    if not (min(counts) >= 0 and max(counts) <= num_steps):
        raise InvalidRequestError(
            f"{lengths_name} must lie in 1..{num_steps}, the time axis of {name}", lengths_name
        )
    sequences = [inputs[row, :length] for row, length in enumerate(counts)]
    check_sequences(sequences, spec, name, np.asarray(inputs))
    return sequences
