"""An encoder-decoder to its two graphs, and the gates that hold them to torch.

encoder: inputs (batch, source), lengths (batch,) -> memory (batch, source, memory_width), and
    the state that the decoder begins with, if it has one
decoder: inputs (batch, time), lengths (batch,); state (batch, *shape), or cache
    (batch, past, cache_width) and cache_lengths (batch,); memory and memory_lengths (batch,)
    -> logits (batch, vocabulary) and attention (batch, source) after each row's last token;
    state, or cache_out (batch, time, cache_width): these tokens' own entries
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from torch import Tensor, nn

from models.decoders.translator import Translator, TranslatorDecoder, TranslatorEncoder
from models.fused import fuse
from service.manifest import StatePair
from training.card import load_run
from training.export.graph import OPSET, Axes, Signature, quiet_exporter, strip

SAMPLE_BATCH, SAMPLE_SOURCE, SAMPLE_TIME, SAMPLE_PAST = 3, 11, 5, 7
"""The shape the exporter traces; no gate uses it, so that a frozen axis can't hide."""

ATTENTION = "attention"


class Graphs(NamedTuple):
    """One of a kind for each of the two graphs."""

    encoder: Any
    decoder: Any


def signatures_of(model: Translator) -> Graphs:
    """What both graphs must look like from outside: a `Signature` each."""
    state = state_pairs(model)
    tokens: dict[str, Axes] = {"inputs": ["batch", "time"], "lengths": ["batch"]}
    memory: Axes = ["batch", "source", model.memory_width]
    begin: dict[str, Axes] = {pair.input: ["batch", *pair.shape] for pair in state}
    ended: dict[str, Axes] = {pair.output: ["batch", *pair.shape] for pair in state}
    if model.cache_width:
        begin = {"cache": ["batch", "past", model.cache_width], "cache_lengths": ["batch"]}
        ended = {"cache_out": ["batch", "time", model.cache_width]}
    first = {pair.input: begin[pair.input] for pair in state}
    decoder = Signature(
        {**tokens, **begin, "memory": memory, "memory_lengths": ["batch"]},
        {"logits": ["batch", model.num_target_tokens], ATTENTION: ["batch", "source"], **ended},
        state,
        has_weights=True,
    )
    encoder = Signature(
        {"inputs": ["batch", "source"], "lengths": ["batch"]},
        {"memory": memory, **first},
        [],
        False,
    )
    return Graphs(encoder, decoder)


def state_pairs(model: Translator) -> list[StatePair]:
    """The decoder's state by its graph's names."""
    return [
        StatePair(input=name, output=f"{name}_out", shape=list(shape))
        for name, shape in model.state_shapes().items()
    ]


def write_encoder(run_folder: Path, path: Path) -> None:
    """Export a run's encoder to a file; runs once in its process."""
    model: Translator = load_run(run_folder)[1]
    _write(TranslatorEncoder(fuse(model)), _sources(), signatures_of(model).encoder, path)


def write_decoder(run_folder: Path, path: Path) -> None:
    """Likewise its decoder."""
    model: Translator = load_run(run_folder)[1]
    sample = _sample_step(model)
    _write(TranslatorDecoder(fuse(model)), sample, signatures_of(model).decoder, path)


def _write(part: nn.Module, sample: tuple[Tensor, ...], signature: Signature, path: Path) -> None:
    torch.set_num_threads(1)
    dims = {
        name: torch.export.Dim(name)
        for axes in signature.inputs.values()
        for name in axes
        if isinstance(name, str)
    }
    shapes = [
        {place: dims[name] for place, name in enumerate(axes) if isinstance(name, str)}
        for axes in signature.inputs.values()
    ]
    with quiet_exporter():
        program = torch.onnx.export(
            part.eval(),
            sample,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(*shapes[:2], *([tuple(shapes[2:])] if shapes[2:] else [])),
            input_names=list(signature.inputs),
            output_names=list(signature.outputs),
            verbose=False,
        )
    assert program is not None  # with dynamo=True it always gives one
    onnx.save(strip(program.model_proto), path)


def _sources() -> tuple[Tensor, Tensor]:
    lengths = torch.arange(SAMPLE_SOURCE, SAMPLE_SOURCE - SAMPLE_BATCH, -1)
    return torch.ones(SAMPLE_BATCH, SAMPLE_SOURCE, dtype=torch.int64), lengths


def _sample_step(model: Translator) -> tuple[Tensor, ...]:
    """What the decoder is traced with."""
    inputs = torch.ones(SAMPLE_BATCH, SAMPLE_TIME, dtype=torch.int64)
    lengths = torch.arange(SAMPLE_TIME, SAMPLE_TIME - SAMPLE_BATCH, -1)
    if model.cache_width:
        cache = torch.zeros(SAMPLE_BATCH, SAMPLE_PAST, model.cache_width)
        before = [cache, torch.arange(SAMPLE_PAST, SAMPLE_PAST - SAMPLE_BATCH, -1)]
    else:
        before = [torch.zeros(SAMPLE_BATCH, *shape) for shape in model.state_shapes().values()]
    memory = torch.zeros(SAMPLE_BATCH, SAMPLE_SOURCE, model.memory_width)
    return inputs, lengths, *before, memory, _sources()[1]
