"""Whether sequences of a described graph may share a run: that is tried out.

Zeros pad a sequence, as in the engine: a graph may multiply them away, or make ids of them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.datatypes import datatype_of
from service.errors import BundleError
from service.graphs.checks.ignored import is_end_ignored
from service.graphs.checks.invariance import (
    MADE_LENGTHS,
    Steps,
    ignored_end,
    lengths_of,
    run_in_chunks,
    run_whole,
)
from service.graphs.checks.rows import QUICK_S
from service.graphs.checks.values import (
    ORDINARY,
    TOLERANCES,
    UNLIKE,
    Range,
    are_alike,
    draw,
    find_range,
    nudge,
    tell_apart,
    usual_scale,
)
from service.graphs.model import Arrays, Model

LONGER = 130  # steps, beside those that are usual
DRAWS = 2  # of each length
DRAWS_OF_LABELS = 8  # which hide most of what moves them
LONG = (64, 256, 1_024)  # steps: longer than the example that a graph was made with


def find_obstacle(model: Model, chunk_steps: int, has_company: bool = True) -> str:
    """Why sequences must run one at a time; empty if each one's answer is its own.

    Args:
        model: What answers; it is warm afterwards.
        chunk_steps: Steps in a chunk.
        has_company: Whether the graph runs several sequences at a time at all.

    Raises:
        BundleError: It is not right even alone: it runs on none that was made for it, answers
            otherwise in chunks, or does not heed the end of a sequence.
    """
    trial = _Trial(model, chunk_steps)
    trial.check_chunks()
    trial.check_end()
    return trial.find_obstacle() if has_company else "the graph takes one at a time"


class _Trial:
    """Of one graph, with sequences that it takes, and its answers to each alone."""

    def __init__(self, model: Model, chunk_steps: int) -> None:
        spec = self._spec = model.spec
        self._model = model
        self._chunk_steps = chunk_steps
        self._random = np.random.default_rng(0)
        self._datatype = datatype_of(spec.dtype)
        self._tolerances = {
            it.name: TOLERANCES.get(datatype_of(it.dtype), 0.0) for it in spec.outputs
        }
        self._unsteady: set[int] = set()
        self._numbers = self._find_numbers()
        self._kind, self._sequences, self._alone = self._first_taken()

    def _find_numbers(self) -> Range:
        if self._spec.num_tokens:
            return Range(0, min(self._spec.num_tokens) - 1)
        if self._spec.dtype.kind == "f":
            return Range()
        steps = min(max(3, self._spec.min_length), self._spec.max_length)
        shape, dtype = (steps, *self._spec.step_shape), self._spec.dtype
        limits = np.iinfo(dtype)
        return find_range(
            lambda number: (
                limits.min <= number <= limits.max and self._is_taken(np.full(shape, number, dtype))
            )
        )

    def _is_taken(self, sequence: Steps) -> bool:
        try:
            run_whole(self._model, [sequence])
        except Exception:  # noqa: BLE001 - of any kind: it does not take such
            return False
        return True

    def _first_taken(self) -> tuple[str, list[Steps], list[Arrays]]:
        """The first kind of sequences that the graph takes at all lengths."""
        draws = DRAWS_OF_LABELS if 0.0 in self._tolerances.values() else DRAWS
        lengths = lengths_of(self._spec, self._chunk_steps, (*MADE_LENGTHS, LONGER))
        kinds = ORDINARY if self._spec.dtype.kind == "f" else ORDINARY[:1]
        reason = ""
        for kind in kinds:
            sequences = [self._draw(kind, length) for length in lengths for _ in range(draws)]
            try:
                alone = [run_whole(self._model, [sequence])[0] for sequence in sequences]
            except Exception as error:  # noqa: BLE001 - of any kind: it does not take such
                reason = reason or str(error).splitlines()[0]
            else:
                return kind, sequences, alone
        raise BundleError(f"the graph runs on no sequences that were made for it: {reason}")

    def _draw(self, kind: str, length: int) -> Steps:
        shape = (length, *self._spec.step_shape)
        return draw(kind, self._datatype, shape, self._numbers, self._random)

    def check_chunks(self) -> None:
        """Hold each sequence alone, in chunks, against the same in one run."""
        if not self._spec.state:
            return
        for place, sequence in enumerate(self._sequences):
            answer = run_in_chunks(self._model, [sequence], self._chunk_steps)
            if (name := self._changed(place, answer[0])) is not None:
                raise BundleError(
                    f"{name} of a sequence of {len(sequence)} steps is another in chunks of "
                    f"{self._chunk_steps} steps: its state is not carried over"
                )

    def check_end(self) -> None:
        """See whether the end of a sequence that is longer than any example changes anything."""
        length, spec, taken_s = 0, self._spec, 0.0
        lengths = {min(max(it, it * spec.min_length // 16), spec.max_length): None for it in LONG}
        for steps in lengths:
            started_s = time.thread_time()
            if taken_s > QUICK_S or not self._is_taken(self._draw(self._kind, steps)):
                break
            length, taken_s = steps, time.thread_time() - started_s
        if not length:
            return
        drawn = [self._draw(kind, length) for kind in (self._kind, self._kind, *ORDINARY)]
        values = itertools.chain(drawn[:2], filter(self._is_taken, drawn[2:]))
        if is_end_ignored(lambda steps: run_whole(self._model, [steps])[0], values, axis=0):
            raise BundleError(ignored_end(length))

    def find_obstacle(self) -> str:
        """What company changes of an answer; or that it was not shown to change none."""
        for places in self._groups():
            try:
                reason = self._difference(places)
            except Exception as error:  # noqa: BLE001 - of any kind: it does not take such a batch
                reason = f"it takes no batch: {str(error).splitlines()[0]}"
            if reason:
                return reason
        return self._not_shown()

    def _groups(self) -> Iterator[list[int]]:
        """What can run together: all; or, without lengths, only what is equally long."""
        places = range(len(self._sequences))
        if self._spec.is_ragged:
            yield list(places)
            return
        for length in sorted({len(sequence) for sequence in self._sequences}):
            yield [place for place in places if len(self._sequences[place]) == length]

    def _difference(self, places: Sequence[int]) -> str:
        length = len(self._sequences[places[len(places) // 2]])
        unlike = list(filter(self._is_taken, (self._draw(kind, length) for kind in UNLIKE)))
        for order in (places, places[::-1]):
            before = len(unlike) // 2
            own = [self._sequences[place] for place in order]
            batch = [*unlike[:before], *own, *unlike[before:]]
            runs = [run_whole(self._model, batch)]
            if self._spec.state:
                runs.append(run_in_chunks(self._model, batch, self._chunk_steps))
            for answers in runs:
                for place, answer in zip(order, answers[before:], strict=False):
                    name = self._changed(place, answer)
                    if name is not None and self._is_steady(place):
                        padding = " or on its padding" if self._spec.is_ragged else ""
                        return f"{name} of a sequence depends on the others of a batch{padding}"
        return ""

    def _changed(self, place: int, answer: Arrays) -> str | None:
        """The first output that is another than alone."""
        for name, wanted in self._alone[place].items():
            if not are_alike(wanted, answer[name], self._tolerances[name]):
                return name
        return None

    def _is_steady(self, place: int) -> bool:
        """Whether rounding leaves an answer as it is: else company may only seem to change it."""
        if place not in self._unsteady:
            nudged = nudge(self._sequences[place], self._datatype, self._random)
            if self._changed(place, run_whole(self._model, [nudged])[0]) is None:
                return True
            self._unsteady.add(place)
        return False

    def _not_shown(self) -> str:
        steady = [it for place, it in enumerate(self._alone) if place not in self._unsteady]
        for output in self._spec.outputs:
            name, answers = (
                output.name,
                [_last(answer[output.name], output.per_step) for answer in steady],
            )
            if not tell_apart(answers, self._tolerances[name], usual_scale(answers)):
                return f"that {name} is a sequence's own was not shown: all that was tried is alike"
        return ""


def _last(values: NDArray[Any], per_step: bool) -> NDArray[Any]:
    """What can be held against other sequences' though they are of another length."""
    return values[-1] if per_step and len(values) else values
