"""One graph in onnxruntime, held against its manifest."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from service.errors import BundleError
from service.manifest import Manifest

Arrays = dict[str, NDArray[np.float32]]
"""Tensors by name, axis 0 the batch."""


class Result(NamedTuple):
    """The answer to one sequence."""

    logits: NDArray[np.float32]  # (classes,)
    weights: NDArray[np.float32] | None  # (time,), trimmed to the sequence's own length


class Model(Protocol):
    """What a scheduler needs of a model; tests bring fakes of this shape."""

    manifest: Manifest

    def run(self, inputs: NDArray[np.float32], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch."""


class OnnxModel:
    """An onnxruntime session on one thread; several engine threads may run it at a time.

    Args:
        graph: The bytes of `model.onnx`.
        manifest: What they should hold.

    Raises:
        BundleError: onnxruntime can't load it, or its signature is not the manifest's.
    """

    def __init__(self, graph: bytes, manifest: Manifest) -> None:
        options = onnxruntime.SessionOptions()
        # the engine's threads are the parallelism: more inside a run only compete with them
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        _share_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.enable_mem_pattern = False  # shapes vary, patterns would only be re-planned
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise BundleError(f"onnxruntime can't load the graph: {error}") from error
        self.manifest = manifest
        self._inputs = manifest.inputs.name
        self._lengths = manifest.inputs.lengths
        outputs = [manifest.outputs.logits, *(pair.output for pair in manifest.state)]
        if manifest.outputs.weights:
            outputs.append(manifest.outputs.weights)
        self._outputs = outputs
        self._check_signature()

    def run(self, inputs: NDArray[np.float32], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch.

        Args:
            inputs: float32 (batch, time, features).
            lengths: int64 (batch,), 1 to time.
            state: By the graph's input names, each float32 (batch, *shape).

        Returns:
            Logits, weights if any, and new state, by the graph's output names.
        """
        feed = {self._inputs: inputs, self._lengths: lengths, **state}
        return dict(zip(self._outputs, self.session.run(self._outputs, feed), strict=True))

    def _check_signature(self) -> None:
        manifest = self.manifest
        found = {i.name: (i.type, i.shape) for i in self.session.get_inputs()}
        wanted: dict[str, tuple[str, list[int]]] = {
            manifest.inputs.name: ("tensor(float)", [manifest.num_features]),
            manifest.inputs.lengths: ("tensor(int64)", []),
            **{pair.input: ("tensor(float)", pair.shape) for pair in manifest.state},
        }
        if found.keys() != wanted.keys():
            raise BundleError(
                f"the graph's inputs are {sorted(found)}, the manifest's {sorted(wanted)}"
            )
        for name, (dtype, fixed) in wanted.items():
            has_dtype, shape = found[name]
            symbolic = shape[: len(shape) - len(fixed)]
            if has_dtype != dtype or shape[len(symbolic) :] != fixed:
                raise BundleError(f"the graph's input {name} is {has_dtype} {shape}, not {dtype}")
            if any(isinstance(axis, int) for axis in symbolic):
                raise BundleError(f"the graph's input {name} has a frozen axis: {shape}")
        missing = set(self._outputs) - {o.name for o in self.session.get_outputs()}
        if missing:
            raise BundleError(f"the graph has no output {', '.join(sorted(missing))}")


@cache
def _share_memory() -> None:
    """Make the one memory pool that all sessions of this process work in.

    Each would otherwise keep a pool of its own, as large as its largest run ever was.
    """
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    place = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    # growing in powers of two: by the size asked for, it fragments as shapes vary
    growth = onnxruntime.OrtArenaCfg({"arena_extend_strategy": 0})
    onnxruntime.create_and_register_allocator(place, growth)


def check_outputs(manifest: Manifest, outputs: Arrays, batch_size: int, num_steps: int) -> None:
    """Hold a run's outputs against the manifest, before an answer is cut from them.

    Raises:
        ValueError: One is missing or has another shape than it should.
    """
    names = manifest.outputs
    wanted = {names.logits: (batch_size, len(names.labels))}
    if names.weights:
        wanted[names.weights] = (batch_size, num_steps)
    shapes = wanted | {pair.output: (batch_size, *pair.shape) for pair in manifest.state}
    for name, shape in shapes.items():
        found = outputs[name].shape if name in outputs else None
        if found != shape:
            raise ValueError(f"output {name} has shape {found}, not {shape}")
