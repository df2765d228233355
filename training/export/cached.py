"""A causal Transformer to an ONNX graph, which reads steps after those of a cache, and its gates.

inputs (batch, time), lengths (batch,), cache (batch, past, width), cache_lengths (batch,)
-> logits (batch, tokens) after each row's last step, cache_out (batch, time, width): the steps'
own entries, which whoever runs the graph appends to each row's
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.decoders.causal import CausalTransformer
from models.sequence import last_step
from training.card import Card, load_run
from training.export.graph import (
    OPSET,
    SAMPLE_BATCH,
    SAMPLE_TIME,
    Axes,
    Signature,
    quiet_exporter,
    strip,
)
from training.export.verify import Arrays, Candidate, Steps, largest_difference

SAMPLE_PAST = 13
CACHE, CACHE_LENGTHS, CACHE_OUT = "cache", "cache_lengths", "cache_out"
RUBBISH = np.array([1e4, -1e4, 7.0], dtype=np.float32)
"""Finite, as what is behind a row's entries always is."""


def cached_signature(card: Card, model: CausalTransformer) -> Signature:
    """What the graph of this model must look like from outside."""
    inputs: dict[str, Axes] = {
        card.inputs.name: ["batch", "time"],
        card.inputs.lengths: ["batch"],
        CACHE: ["batch", "past", model.cache_width],
        CACHE_LENGTHS: ["batch"],
    }
    outputs: dict[str, Axes] = {
        card.outputs.logits: ["batch", card.outputs.width],
        CACHE_OUT: ["batch", "time", model.cache_width],
    }
    return Signature(inputs, outputs, state=[], has_weights=False)


class LastLogits(nn.Module):
    """The model as its graph is."""

    def __init__(self, model: CausalTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, inputs: Tensor, lengths: Tensor, cache: Tensor, cache_lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits after each row's last step, and the steps' entries."""
        hidden, entries = self.model.read(inputs, cache, cache_lengths)
        return self.model.output(last_step(hidden, lengths)), entries


def write_cached_graph(run_folder: Path, path: Path) -> None:
    """Export a run to one file; runs once in its process."""
    torch.set_num_threads(1)
    card, model = load_run(run_folder)
    signature = cached_signature(card, model)
    inputs = torch.randint(model.num_tokens, (SAMPLE_BATCH, SAMPLE_TIME))
    lengths = torch.arange(SAMPLE_TIME, SAMPLE_TIME - SAMPLE_BATCH, -1)
    cache = torch.zeros(SAMPLE_BATCH, SAMPLE_PAST, model.cache_width)
    cache_lengths = torch.arange(SAMPLE_BATCH)
    batch, time, past = (torch.export.Dim(name) for name in ("batch", "time", "past"))
    with quiet_exporter():
        program = torch.onnx.export(
            LastLogits(model).eval(),
            (inputs, lengths, cache, cache_lengths),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=({0: batch, 1: time}, {0: batch}, {0: batch, 1: past}, {0: batch}),
            input_names=list(signature.inputs),
            output_names=list(signature.outputs),
            verbose=False,
        )
    assert program is not None  # with dynamo=True it always gives one
    onnx.save(strip(program.model_proto), path)


class CachedCandidate(Candidate):
    """A graph with a cache, and the model that it must equal."""

    model: CausalTransformer

    @property
    def per_step(self) -> set[str]:
        """The outputs that are of each step."""
        return {CACHE_OUT}

    def initial_state(self, batch: int) -> Arrays:
        """No entries."""
        state = self.model.initial_state(batch)
        return {name: value.numpy() for name, value in state.items()}

    def reached_state(self, batch: int) -> Arrays:
        """The entries of texts of different lengths, and rubbish after a row's own."""
        inputs, lengths = self.ragged(batch, 9)
        with torch.inference_mode():
            state = self.model(torch.from_numpy(inputs), torch.from_numpy(lengths)).state
        cache, counts = state[CACHE].numpy(), state[CACHE_LENGTHS].numpy()
        cache = np.concatenate([cache, np.zeros_like(cache[:, :2])], axis=1)
        other = np.arange(cache.shape[1]) >= counts[:, None]
        cache[other] = self.random.choice(RUBBISH, (other.sum(), cache.shape[2]))
        return {CACHE: cache, CACHE_LENGTHS: counts}

    def torch(self, inputs: Steps, lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """The model's answer."""
        given = [torch.from_numpy(array) for array in (inputs, lengths, *state.values())]
        with torch.inference_mode():
            answer = LastLogits(self.model)(*given)
        return dict(zip(self.signature.outputs, (part.numpy() for part in answer), strict=True))


def check_cache(candidate: CachedCandidate, batch: int = 5, time: int = 150) -> None:
    """Texts in chunks of random sizes, each row with its own entries, must equal them whole.

    A row keeps no more entries than it may look back at; the rest of the cache is rubbish.

    Raises:
        ExportError: The entries do not carry all that a text needs.
    """
    inputs, lengths = candidate.ragged(batch, time)
    whole = candidate.graph("cache", inputs, lengths, candidate.initial_state(batch))
    window = candidate.model.window
    for row, length in enumerate(lengths):
        entries = whole[CACHE_OUT][row, :0]
        done = 0
        while done < length:
            steps = int(min(candidate.random.integers(1, 20), length - done))
            past = len(entries) + int(candidate.random.integers(3))
            cache = np.full((1, past, entries.shape[1]), RUBBISH[0])
            cache[0, : len(entries)] = entries
            answer = candidate.graph(
                "cache",
                inputs[row : row + 1, done : done + steps],
                np.array([steps]),
                {CACHE: cache, CACHE_LENGTHS: np.array([len(entries)])},
            )
            entries = np.concatenate([entries, answer[CACHE_OUT][0]])[-window:]
            done += steps
        last = {"logits": answer["logits"], CACHE_OUT: answer[CACHE_OUT][:, -1:]}
        expected = {
            "logits": whole["logits"][row : row + 1],
            CACHE_OUT: whole[CACHE_OUT][row : row + 1, length - 1 : length],
        }
        largest_difference("cache", f"row {row} of length {length}", last, expected)
