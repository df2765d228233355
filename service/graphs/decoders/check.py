"""The check that a decoder must pass before it serves: no text depends on its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.errors import BundleError
from service.graphs.checks.values import TOLERANCE
from service.graphs.decoders.decoder import Decoder
from service.graphs.decoders.states import States, gather
from service.graphs.model import Arrays

RUBBISH = 1e4  # finite, as all that a service ever leaves behind in its arrays
MADE_LENGTHS = (1, 2, 7, 20)

Tokens = NDArray[np.int64]


class Probe(NamedTuple):
    """A text to try a decoder with."""

    tokens: Tokens
    source: Tokens


def check_decoder(decoder: Decoder, chunk_steps: int = 3, tolerance: float = TOLERANCE) -> None:
    """Alone = with others and rubbish behind each row = in another order = in chunks.

    Args:
        decoder: What answers.
        chunk_steps: Tokens of a prompt fed at a time.
        tolerance: How far an answer may differ, of its scale (1 at least).

    Raises:
        BundleError: One of them differs, with the text's length and by how much.
    """
    probes = _probes(decoder)
    alone = [_run(decoder, [probe], [len(probe.tokens)])[0] for probe in probes]
    whole = max(len(probe.tokens) for probe in probes)
    for how, together, chunks in (
        ("in a batch with rubbish in the padding", probes, [whole]),
        ("reordered", probes[::-1], [whole]),
        (f"in chunks of {chunk_steps} tokens", probes, [chunk_steps] * whole),
        ("in chunks of 1 token", probes, [1] * whole),
    ):
        found = _run(decoder, together, chunks)
        _compare(alone, found[::-1] if together is not probes else found, probes, tolerance, how)


def _probes(decoder: Decoder) -> list[Probe]:
    spec = decoder.spec
    random = np.random.default_rng(0)
    longest = spec.max_length
    if spec.cache:
        longest = min(longest, spec.cache.max_steps)
    sizes = sorted({min(length, longest) for length in MADE_LENGTHS})
    sources = [min(length, spec.memory.max_length) if spec.memory else 1 for length in sizes[::-1]]
    return [
        Probe(
            random.integers(0, spec.vocabulary, size),
            random.integers(0, spec.source_vocabulary, source),
        )
        for size, source in zip(sizes, sources, strict=True)
    ]


def _run(decoder: Decoder, probes: Sequence[Probe], chunks: Sequence[int]) -> list[Arrays]:
    """Feed texts together, so many tokens at a time; the answers after each one's last."""
    states = _begin(decoder, probes)
    answers: dict[int, Arrays] = {}
    running = list(range(len(probes)))
    start = 0
    for chunk in chunks:
        pieces = [probes[row].tokens[start : start + chunk] for row in running]
        outputs, states = _step(decoder, states, pieces)
        start += chunk
        for place, row in enumerate(running):
            if len(probes[row].tokens) <= start:
                answers[row] = _row(decoder, outputs, place, len(probes[row].source))
        left = [place for place, row in enumerate(running) if len(probes[row].tokens) > start]
        running = [running[place] for place in left]
        if not running:
            break
        states = gather([(states, np.array(left))])
    return [answers[row] for row in range(len(probes))]


def _begin(decoder: Decoder, probes: Sequence[Probe]) -> States:
    if not decoder.spec.memory:
        return States.begin(decoder.spec, len(probes), {})
    tokens, lengths = _padded([probe.source for probe in probes])
    try:
        encoded = decoder.encode(tokens, lengths)
    except ValueError as error:
        raise BundleError(str(error)) from error
    return States.begin(decoder.spec, len(probes), encoded, lengths)


def _step(decoder: Decoder, states: States, pieces: list[Tokens]) -> tuple[Arrays, States]:
    tokens, lengths = _padded(pieces)
    for row, (cached, source) in enumerate(
        zip(states.cache_lengths.tolist(), states.memory_lengths.tolist(), strict=True)
    ):
        states.cache[row, cached:] = RUBBISH
        states.memory[row, source:] = RUBBISH
    try:
        outputs = decoder.run(tokens, lengths, states.feed())
    except ValueError as error:
        raise BundleError(str(error)) from error
    return outputs, states.after(outputs, lengths)


def _padded(rows: list[Tokens]) -> tuple[Tokens, Tokens]:
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    tokens = np.ones((len(rows), int(lengths.max())), dtype=np.int64)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = row
    return tokens, lengths


def _row(decoder: Decoder, outputs: Arrays, place: int, source: int) -> Arrays:
    spec = decoder.spec
    answer: Arrays = {spec.logits: outputs[spec.logits][place]}
    if spec.attention:
        answer[spec.attention] = outputs[spec.attention][place, :source]
    return answer


def _compare(
    expected: list[Arrays], found: list[Arrays], probes: list[Probe], tolerance: float, how: str
) -> None:
    for want, have, probe in zip(expected, found, probes, strict=True):
        for name, a in want.items():
            error = float(np.max(np.abs(np.subtract(a, have[name], dtype=np.float64))))
            if not error <= tolerance * max(1.0, float(np.max(np.abs(a)))):
                raise BundleError(
                    f"not batch-invariant: {name} of a text of {len(probe.tokens)} tokens differs "
                    f"by {error:.3g} {how}"
                )
