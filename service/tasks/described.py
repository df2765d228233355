"""The task of a graph that a few lines describe: the same classes that read a bundle's manifest."""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np

from service.description import Description
from service.errors import BundleError
from service.graphs.spec import OutputSpec, SequenceSpec
from service.manifest import Contract, Inputs, Limits, Outputs, StatePair
from service.tasks.registry import task_of
from service.tasks.settings import ServedTaskName
from service.tasks.task import Bundle, Task


def described_task(
    name: str, version: str, description: Description, spec: SequenceSpec
) -> Task | None:
    """What reads requests to such a model in the user's own terms; None if nothing is said of it.

    Args:
        name: Of the model.
        version: Of the model.
        description: What is said of the task.
        spec: What the graph takes and answers.

    Raises:
        BundleError: The graph does not answer so; the description's field is named.
    """
    said = description.task
    if said is None:
        return None
    output = _find_output(said.output, spec)
    task: ServedTaskName = "step_classification" if output.per_step else "classification"
    if said.name not in (None, task):
        raise BundleError(f"task.name: {output.name} is for {task}, not {said.name}")
    width, num_labels = math.prod(output.shape), len(said.labels)
    is_single = width == 1 and num_labels == 2 and said.activation != "softmax"
    is_choice = output.shape == (num_labels,) and said.activation != "sigmoid"
    if not (is_single or is_choice) or output.dtype.kind != "f":
        raise BundleError(
            f"task.labels: {output.name} has {width} values ({output.dtype}) for {num_labels} "
            "labels; there is one a label, or with activation `sigmoid` or `none` a single one, "
            "the second's of two"
        )
    contract = Contract(
        name=name,
        version=version,
        family="",
        task=task,
        batching="cells" if spec.state else "sequences",
        inputs=_inputs(said.features, spec),
        outputs=Outputs(
            logits=output.name,
            labels=said.labels,
            per_step=output.per_step,
            activation=said.activation,
        ),
        state=[
            StatePair(input=it.input, output=it.output, shape=list(it.shape), initial=it.initial)
            for it in spec.state
        ],
        limits=Limits(max_length=spec.max_length),
    )
    return task_of(Bundle(contract, _no_file, spec))


def _find_output(name: str | None, spec: SequenceSpec) -> OutputSpec:
    there = {output.name: output for output in spec.outputs}
    if name is None and len(there) == 1:
        return spec.outputs[0]
    if name not in there:
        raise BundleError(f"task.output: say which of the graph's outputs, {', '.join(there)}")
    return there[name]


def _inputs(names: list[str] | None, spec: SequenceSpec) -> Inputs:
    if spec.dtype.kind in "iu" and not spec.step_shape:
        if names:
            raise BundleError(f"task.features: {spec.inputs} has ids, which are one value a step")
        vocabulary = spec.num_tokens or (int(np.iinfo(spec.dtype).max),)
        return Inputs(name=spec.inputs, lengths=spec.lengths, tokens=list(vocabulary))
    if spec.dtype.kind != "f" or len(spec.step_shape) != 1:
        raise BundleError(
            f"task: {spec.inputs} is {spec.dtype} (batch, time, …) with steps of shape "
            f"{list(spec.step_shape)}; a task takes features (batch, time, features), or ids "
            "(batch, time); without `task` the graph takes its tensors"
        )
    (size,) = spec.step_shape
    names = names or [f"feature_{place}" for place in range(size)]
    if len(names) != size:
        raise BundleError(f"task.features: {len(names)} names for {size} features")
    return Inputs(name=spec.inputs, lengths=spec.lengths, features=names)


def _no_file(name: str) -> NoReturn:
    raise BundleError(f"a model described by hand has no file {name}")
