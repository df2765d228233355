"""A decoder graph, and the encoder graph that may come before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from service.datatypes import DATATYPES, ONNX_TYPES
from service.errors import BundleError
from service.graphs.model import Arrays
from service.graphs.runs import run_graph
from service.graphs.spec import FLOAT, StateSpec

IDS = np.dtype(np.int64)


class CacheSpec(NamedTuple):
    """What a decoder keeps of every step: float32 (batch, past, width), each row's own entries from
    the left, and how many there are of each, int64 (batch,).

    Args:
        width: Of an entry.
        max_steps: The most entries of a row that the graph can take.
        window: The graph itself looks back no further than this, and so older ones are dropped;
            None: it looks at all.
        input: Name of the input.
        lengths: Name of the input of how many there are.
        output: Name of the output of the new entries alone, (batch, time, width).
    """

    width: int
    max_steps: int
    window: int | None = None
    input: str = "cache"
    lengths: str = "cache_lengths"
    output: str = "cache_out"


class MemorySpec(NamedTuple):
    """What an encoder gives, and a decoder attends to: float32 (batch, source, width).

    Args:
        width: Of an entry.
        max_length: Tokens of a source, at most.
        vocabulary: How many tokens a source may be of; None: as many as a text.
        name: Of the decoder's input and the encoder's output.
        lengths: Name of the decoder's input of how many each row has, int64 (batch,).
    """

    width: int
    max_length: int
    vocabulary: int | None = None
    name: str = "memory"
    lengths: str = "memory_lengths"


@dataclasses.dataclass(frozen=True)
class DecoderSpec:
    """A graph that says what token comes next.

    Args:
        vocabulary: How many tokens there are.
        max_length: Tokens of one text, at most: those given and those made.
        end: The token that ends a text; None: there is none.
        forbidden: Tokens that are never chosen, such as padding.
        state: What it carries from step to step, of fixed size.
        cache: What it keeps of every step.
        memory: What it attends to; then there is an encoder, which gives the first `state` too.
        attention: Name of the output (batch, source), of the last step; None: it tells none.
        inputs: Name of the input (batch, time), int64; of the encoder's too.
        lengths: Name of the input (batch,), int64, how many of those are real; likewise.
        logits: Name of the output (batch, vocabulary), after each row's last real step.
    """

    vocabulary: int
    max_length: int
    end: int | None = None
    forbidden: tuple[int, ...] = ()
    state: tuple[StateSpec, ...] = ()
    cache: CacheSpec | None = None
    memory: MemorySpec | None = None
    attention: str | None = None
    inputs: str = "inputs"
    lengths: str = "lengths"
    logits: str = "logits"

    @property
    def source_vocabulary(self) -> int:
        """How many tokens a source may be of."""
        return (self.memory and self.memory.vocabulary) or self.vocabulary


Tensor = tuple[np.dtype[Any], tuple[int | None, ...]]
"""Type and axes, None of any size."""


class Decoder:
    """Sessions that run batches of steps; several engine threads may run them at a time.

    Args:
        spec: What they should take and answer.
        session: Of the decoder graph.
        encoder: Of the encoder graph; where the spec has a memory.

    Raises:
        BundleError: A signature is another.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        session: onnxruntime.InferenceSession,
        encoder: onnxruntime.InferenceSession | None = None,
    ) -> None:
        if (encoder is None) != (spec.memory is None):
            raise BundleError("a memory needs an encoder graph, and an encoder a memory")
        self.spec = spec
        self.session = session
        self.encoder = encoder
        self._outputs = _outputs(spec)
        _check_signature(session, _inputs(spec), self._outputs, "decoder")
        self._encoded: dict[str, Tensor] = {}
        if encoder is not None and spec.memory:
            self._encoded = {spec.memory.name: (FLOAT, (None, None, spec.memory.width))} | {
                state.input: (FLOAT, (None, *state.shape)) for state in spec.state
            }
            _check_signature(encoder, _tokens(spec), self._encoded, "encoder")

    def run(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], held: Arrays) -> Arrays:
        """Run some steps of a batch.

        Args:
            tokens: (batch, time).
            lengths: (batch,), 1 to time.
            held: State, cache and memory by the graph's input names.

        Returns:
            Outputs by the graph's names.

        Raises:
            ValueError: They have other shapes than they should.
        """
        feed = {self.spec.inputs: tokens, self.spec.lengths: lengths, **held}
        return _run(self.session, self._outputs, feed, tokens.shape)

    def encode(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64]) -> Arrays:
        """Run the encoder on a batch of sources.

        Args:
            tokens: (batch, time).
            lengths: (batch,), 1 to time.

        Returns:
            The memory and the first state, by the decoder's input names.
        """
        assert self.encoder is not None
        feed = {self.spec.inputs: tokens, self.spec.lengths: lengths}
        return _run(self.encoder, self._encoded, feed, tokens.shape)


def _tokens(spec: DecoderSpec) -> dict[str, Tensor]:
    return {spec.inputs: (IDS, (None, None)), spec.lengths: (IDS, (None,))}


def _inputs(spec: DecoderSpec) -> dict[str, Tensor]:
    tensors = _tokens(spec)
    tensors |= {state.input: (FLOAT, (None, *state.shape)) for state in spec.state}
    if cache := spec.cache:
        tensors |= {cache.input: (FLOAT, (None, None, cache.width)), cache.lengths: (IDS, (None,))}
    if memory := spec.memory:
        tensors |= {
            memory.name: (FLOAT, (None, None, memory.width)),
            memory.lengths: (IDS, (None,)),
        }
    return tensors


def _outputs(spec: DecoderSpec) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {spec.logits: (FLOAT, (None, spec.vocabulary))}
    tensors |= {state.output: (FLOAT, (None, *state.shape)) for state in spec.state}
    if spec.cache:
        tensors[spec.cache.output] = (FLOAT, (None, None, spec.cache.width))
    if spec.attention:
        tensors[spec.attention] = (FLOAT, (None, None))
    return tensors


def _run(
    session: onnxruntime.InferenceSession,
    outputs: Mapping[str, Tensor],
    feed: Arrays,
    shape: tuple[int, ...],
) -> Arrays:
    names = list(outputs)
    found: Arrays = dict(zip(names, run_graph(session.run, names, feed), strict=True))
    for name, array in found.items():
        dtype, axes = outputs[name]
        fits = array.dtype == dtype and array.ndim == len(axes) and array.shape[0] == shape[0]
        if not fits or any(
            n not in (None, size) for n, size in zip(axes, array.shape, strict=True)
        ):
            raise ValueError(f"output {name} is {array.dtype} {array.shape}, not {dtype} {axes}")
    return found


def _check_signature(
    session: onnxruntime.InferenceSession,
    inputs: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
    which: str,
) -> None:
    """Raise BundleError unless the graph takes just these inputs, and gives these outputs."""
    found = {node.name: (node.type, node.shape) for node in session.get_inputs()}
    if found.keys() != inputs.keys():
        raise BundleError(
            f"the {which} graph's inputs are {sorted(found)}, the manifest's {sorted(inputs)}"
        )
    for name, (dtype, axes) in inputs.items():
        has_type, shape = found[name]
        fits = DATATYPES.get(ONNX_TYPES.get(has_type, "")) == dtype and len(shape) == len(axes)
        if not fits or any(
            isinstance(size, int) if axis is None else size != axis
            for axis, size in zip(axes, shape, strict=True)
        ):
            raise BundleError(
                f"the {which} graph's input {name} is {has_type} {shape}, not {dtype} {axes}"
            )
    missing = outputs.keys() - {node.name for node in session.get_outputs()}
    if missing:
        raise BundleError(f"the {which} graph has no output {', '.join(sorted(missing))}")
