"""The gates that run an exported encoder-decoder: it must answer as torch does, whoever is near."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from models.decoders.translator import Translator, TranslatorDecoder, TranslatorEncoder
from service.manifest import ParityCell
from service.tasks.settings import ENCODER_FILE
from training.card import Card
from training.export.graph import Exported, export_graph
from training.export.lint import ExportError, lint
from training.export.translator import (
    ATTENTION,
    Graphs,
    signatures_of,
    write_decoder,
    write_encoder,
)
from training.export.verify import RUNTIME_ERRORS, largest_difference

GRID_BATCHES = (1, 2, 8)
GRID_SOURCES = (1, 2, 7, 40)
STEPS = (1, 3, 1, 1)
"""Tokens that a decoder is fed at a time."""
RUBBISH = 1e4

Arrays = dict[str, NDArray[Any]]


def export_translator(run_folder: Path, card: Card, model: Translator) -> Exported:
    """Both graphs of a run, through their gates.

    Raises:
        ExportError: A gate fails.
    """
    signatures = signatures_of(model)
    graphs = Graphs(*(export_graph(run_folder, write) for write in (write_encoder, write_decoder)))
    beside = [child for name, child in model.named_children() if name != "encoder"]
    lint(graphs.encoder, signatures.encoder, model.get_submodule("encoder"))
    lint(graphs.decoder, signatures.decoder, nn.ModuleList(beside))
    content = Graphs(*(graph.SerializeToString() for graph in graphs))
    candidate = TranslatorCandidate(content, model)
    parity = check_parity(candidate, card.limits.max_length)
    check_company(candidate)
    check_steps(candidate)
    return Exported(
        content.decoder,
        "decoding",
        signatures.decoder.state,
        ATTENTION,
        parity,
        files={ENCODER_FILE: content.encoder},
    )


class TranslatorCandidate:
    """Two graphs and the model that they must equal, by the graphs' names.

    Args:
        graphs: The bytes of both.
        model: In evaluation mode.
    Raises:
        ExportError: onnxruntime does not load one.
    """

    def __init__(self, graphs: Graphs, model: Translator) -> None:
        self.model = model
        self.signatures = signatures_of(model)
        self.parts = Graphs(TranslatorEncoder(model), TranslatorDecoder(model))
        self.random = np.random.default_rng(0)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self.sessions = Graphs(
                *(
                    onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"])
                    for graph in graphs
                )
            )
        except RUNTIME_ERRORS as error:
            raise ExportError(f"load: onnxruntime refuses a graph: {error}") from error

    def run(self, part: str, feed: Arrays, *, by_torch: bool) -> Arrays:
        """What one part answers.

        Args:
            part: `encoder` or `decoder`.
            feed: By the graph's names.
            by_torch: The model; else the graph.
        Raises:
            ExportError: onnxruntime fails on this shape.
        """
        signature = getattr(self.signatures, part)
        names = list(signature.outputs)
        if by_torch:
            given = [torch.from_numpy(feed[name]) for name in signature.inputs]
            with torch.inference_mode():
                found = [value.numpy() for value in getattr(self.parts, part)(*given)]
        else:
            try:
                found = getattr(self.sessions, part).run(names, feed)
            except RUNTIME_ERRORS as error:
                shapes = {name: value.shape for name, value in feed.items()}
                raise ExportError(f"{part}: the graph fails at {shapes}: {error}") from error
        return dict(zip(names, found, strict=True))

    def ragged(self, batch: int, time: int, num_tokens: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Random tokens (batch, time) and lengths, the longest of length `time`."""
        lengths = self.random.integers(1, time + 1, batch)
        lengths[self.random.integers(batch)] = time
        return self.random.integers(0, num_tokens, (batch, time)), lengths


class Texts:
    """A batch of targets being decoded by one of both; keeps what it holds between steps."""

    def __init__(
        self,
        candidate: TranslatorCandidate,
        sources: NDArray[Any],
        lengths: NDArray[Any],
        by_torch: bool,
    ) -> None:
        self.candidate = candidate
        self.by_torch = by_torch
        feed = {"inputs": sources, "lengths": lengths}
        self.encoded = candidate.run("encoder", feed, by_torch=by_torch)
        real = np.arange(sources.shape[1]) < lengths[:, None]
        memory = np.where(real[:, :, None], self.encoded["memory"], np.float32(RUBBISH))
        self.held: Arrays = {**self.encoded, "memory": memory, "memory_lengths": lengths}
        if width := candidate.model.cache_width:
            count = len(lengths)
            self.held["cache"] = np.full((count, 3, width), RUBBISH, np.float32)
            self.held["cache_lengths"] = np.zeros(count, np.int64)

    def step(self, tokens: NDArray[Any], lengths: NDArray[Any]) -> Arrays:
        """Feed tokens (batch, time), ragged; what the decoder answers, but for padding."""
        feed = {"inputs": tokens, "lengths": lengths, **self.held}
        answer = self.candidate.run("decoder", feed, by_torch=self.by_torch)
        for pair in self.candidate.signatures.decoder.state:
            self.held[pair.input] = answer[pair.output]
        if "cache_out" in answer:
            self._append(answer.pop("cache_out"), lengths)
            answer["entries"] = self._entries()
        return answer

    def _append(self, new: NDArray[Any], lengths: NDArray[Any]) -> None:
        held, count = self.held["cache"], self.held["cache_lengths"]
        longer = np.full((len(held), held.shape[1] + new.shape[1], held.shape[2]), RUBBISH)
        longer = longer.astype(np.float32)
        for row, (start, length) in enumerate(zip(count, lengths, strict=True)):
            longer[row, :start] = held[row, :start]
            longer[row, start : start + length] = new[row, :length]
        self.held["cache"], self.held["cache_lengths"] = longer, count + lengths

    def _entries(self) -> NDArray[Any]:
        """The cache's own entries, zeros past each length."""
        cache = self.held["cache"]
        real = np.arange(cache.shape[1]) < self.held["cache_lengths"][:, None]
        return np.where(real[:, :, None], cache, np.float32(0))


def check_parity(candidate: TranslatorCandidate, max_length: int) -> list[ParityCell]:
    """Compare with torch over batch x source, some steps of ragged targets each.

    Raises:
        ExportError: An answer differs.
    """
    cells = []
    model = candidate.model
    for batch in GRID_BATCHES:
        for size in (size for size in GRID_SOURCES if size <= max_length):
            sources, lengths = candidate.ragged(batch, size, model.num_source_tokens)
            graph, expected = (
                Texts(candidate, sources, lengths, by_torch=by_torch) for by_torch in (False, True)
            )
            case = f"batch {batch}, source {size}"
            error = largest_difference("encoder", case, graph.encoded, expected.encoded)
            for step, time in enumerate(STEPS):
                tokens, counts = candidate.ragged(batch, time, model.num_target_tokens)
                answers = [texts.step(tokens, counts) for texts in (graph, expected)]
                error = max(error, largest_difference("decoder", f"{case}, step {step}", *answers))
            cells.append(ParityCell(batch=batch, time=size, max_abs_error=error))
    return cells


def check_company(candidate: TranslatorCandidate, batch: int = 5, source: int = 13) -> None:
    """Each row with neighbours, and whatever behind its own, must equal the row alone.

    Raises:
        ExportError: A row's answer depends on its company.
    """
    model = candidate.model
    sources, lengths = candidate.ragged(batch, source, model.num_source_tokens)
    together = Texts(candidate, sources, lengths, by_torch=False)
    alone = [
        Texts(candidate, sources[row : row + 1, :size], lengths[row : row + 1], by_torch=False)
        for row, size in enumerate(lengths.tolist())
    ]
    for step, time in enumerate(STEPS):
        tokens, counts = candidate.ragged(batch, time, model.num_target_tokens)
        answer = together.step(tokens, counts)
        for row, texts in enumerate(alone):
            wanted = texts.step(tokens[row : row + 1, : counts[row]], counts[row : row + 1])
            found = {
                name: value[row : row + 1, : wanted[name].shape[1]]
                for name, value in answer.items()
            }
            largest_difference("company", f"row {row}, step {step}", found, _fit(wanted, found))


def _fit(wanted: Arrays, found: Arrays) -> Arrays:
    """What a row alone answers, cut to what it is compared with."""
    return {name: value[:, : found[name].shape[1]] for name, value in wanted.items()}


def check_steps(candidate: TranslatorCandidate, batch: int = 3, source: int = 9) -> None:
    """Tokens fed at once must end as the same fed one by one.

    Raises:
        ExportError: What is carried from step to step is not all that a target needs.
    """
    model = candidate.model
    sources, lengths = candidate.ragged(batch, source, model.num_source_tokens)
    tokens = candidate.random.integers(0, model.num_target_tokens, (batch, 6))
    ones = np.ones(batch, np.int64)
    whole, parted = (Texts(candidate, sources, lengths, by_torch=False) for _ in range(2))
    at_once = whole.step(tokens, 6 * ones)
    for place in range(6):
        answer = parted.step(tokens[:, place : place + 1], ones)
    at_once.pop("entries", None)  # longer by what was padding
    largest_difference("steps", "the last", {name: answer[name] for name in at_once}, at_once)
