"""Learning to write down what is said: CTC, after a beginning in which each step is told its label.

CTC alone (Graves et al. 2006) begins with long stretches in which a model says only blank. Made
sequences are known step by step, so the first steps of a run use that: cross-entropy, each step's
label being the digit whose recording it is in, on excerpts of few digits, which are cheap. Then CTC
takes over, at first on excerpts too: when the model says a digit is from there on its own affair.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from service.tasks.transcription.ctc import greedy, log_softmax
from training.data.batches import Row, pad
from training.data.frames.augment import Augmenter
from training.data.frames.connected import Part
from training.fit.edits import error_rate
from training.fit.objective import Objective, Validation

Frames = NDArray[np.float32]


NOT_TOLD = -100
"""A step whose label is not told; cross-entropy passes it over."""


class Example(NamedTuple):
    """One augmented sequence."""

    frames: Frames
    digits: list[int]
    labels: NDArray[np.int64]
    """(time,), what is said at each step: the blank where nothing is, or NOT_TOLD."""


class Beginning(NamedTuple):
    """How a run begins, in steps from its start."""

    told_steps: int
    """With each step's label told."""
    excerpt_steps: int
    """On excerpts."""
    excerpt_digits: int
    """In an excerpt, at most."""
    told_share: float
    """Of each digit, its last part, that is told: a model that can't look ahead has to hear it."""


class CtcObjective(Objective):
    """Learns from one part of connected digits, and validates on another.

    Args:
        learnt: What is learnt from.
        validation: What is validated on.
        augmenter: Changes each sequence afresh; labels move with its time.
        beginning: How the run begins.
        blank: The class that says nothing.
        step_s: Time from a step to the next, s.
        silence: What a feature is in digital silence, which batches are padded with: it is heard
            as such, so that rows are of one length, which torch runs several times faster.
    """

    def __init__(
        self,
        learnt: Part,
        validation: Part,
        augmenter: Augmenter,
        beginning: Beginning,
        blank: int,
        step_s: float,
        silence: float,
    ) -> None:
        self.learnt = learnt
        self.validation = validation
        self.augmenter = augmenter
        self.beginning = beginning
        self.blank = blank
        self.step_s = step_s
        self.silence = silence

    @property
    def lengths(self) -> list[int]:
        """Steps of each sequence."""
        return [len(frames) for frames in self.learnt.frames]

    def example(self, row: Row) -> Example:
        """A sequence, or in the beginning an excerpt, augmented."""
        random = np.random.default_rng(row.seed)
        frames, digits = self.learnt.frames[row.sequence], self.learnt.digits[row.sequence]
        spans = [
            (round(start_s / self.step_s), round(end_s / self.step_s))
            for start_s, end_s in self.learnt.spans_s[row.sequence]
        ]
        labels = self._labels(len(frames), digits, spans)
        _, step, _ = row.seed
        if step < self.beginning.excerpt_steps and digits:
            count = int(random.integers(1, self.beginning.excerpt_digits + 1))
            first = int(random.integers(0, max(1, len(digits) - count + 1)))
            cut = slice(*excerpt(len(frames), spans, first, count))
            frames, labels = frames[cut], labels[cut]
            digits = digits[first : first + count]
        changed = self.augmenter(frames, random)
        if step >= self.beginning.told_steps:
            return Example(changed, digits, np.full(len(changed), NOT_TOLD))
        places = np.linspace(0, len(frames) - 1, len(changed)).round().astype(int)
        return Example(changed, digits, labels[places])

    def collate(self, examples: list[Example]) -> tuple[Tensor, ...]:
        """Inputs (batch, time, features), labels (batch, time), digits (batch, most digits), and

        how many digits each row has, (batch,).
        """
        size = max(len(item.frames) for item in examples)
        most = max(len(item.digits) for item in examples)
        inputs = torch.full((len(examples), size, examples[0].frames.shape[1]), self.silence)
        is_told = examples[0].labels[0] != NOT_TOLD
        labels = torch.full((len(examples), size), self.blank if is_told else NOT_TOLD)
        digits = torch.zeros(len(examples), most, dtype=torch.long)
        for row, item in enumerate(examples):
            inputs[row, : len(item.frames)] = torch.from_numpy(item.frames)
            labels[row, : len(item.labels)] = torch.from_numpy(item.labels)
            digits[row, : len(item.digits)] = torch.tensor(item.digits)
        return inputs, labels, digits, torch.tensor([len(item.digits) for item in examples])

    def learn(
        self, model: Any, batch: tuple[Tensor, ...], backward: Callable[[Tensor], None]
    ) -> float:
        """Add the gradients of the loss: of a step while labels are told, then of a digit."""
        inputs, labels, digits, counts = batch
        lengths = torch.full((len(inputs),), inputs.shape[1])
        logits = model(inputs, lengths).logits  # (batch, time, classes)
        if labels[0, 0] != NOT_TOLD:
            loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        else:
            logs = logits.log_softmax(dim=2).transpose(0, 1)
            total = functional.ctc_loss(
                logs, digits, lengths, counts, self.blank, reduction="sum", zero_infinity=True
            )
            loss = total / counts.sum().clamp(min=1)
        backward(loss)
        return float(loss.detach())

    def validate(self, model: Any) -> Validation:
        """One less the digit error rate, decoded greedily, on the validation part."""
        logits = logits_of(model, self.validation)
        found = [greedy(log_softmax(item), self.blank) for item in logits]
        rate = error_rate(found, self.validation.digits)
        return Validation(score=1 - rate, loss=rate)

    def _labels(
        self, num_steps: int, digits: list[int], spans: list[tuple[int, int]]
    ) -> NDArray[np.int64]:
        labels = np.full(num_steps, self.blank)
        for digit, (start, end) in zip(digits, spans, strict=True):
            labels[end - math.ceil((end - start) * self.beginning.told_share) : end] = digit
        return labels


def excerpt(
    num_steps: int, spans: list[tuple[int, int]], first: int, count: int
) -> tuple[int, int]:
    """Where `count` digits from `first` on lie, cut in the middle of the pauses around them."""
    before = spans[first - 1][1] if first else 0
    stop = first + count
    after = spans[stop][0] if stop < len(spans) else num_steps
    start = (before + spans[first][0]) // 2 if first else 0
    end = (spans[stop - 1][1] + after + 1) // 2 if stop < len(spans) else num_steps
    return start, max(end, start + 1)


@torch.no_grad()
def logits_of(model: Any, part: Part, batch_size: int = 50) -> list[NDArray[np.float32]]:
    """Logits (time_i, classes) of each sequence, with nothing beside it in its batch's padding."""
    was_training = model.training
    model.eval()
    order = np.argsort([len(frames) for frames in part.frames], kind="stable").tolist()
    answers: dict[int, NDArray[np.float32]] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        inputs, lengths = pad([part.frames[index] for index in chosen])
        logits = model(inputs, lengths).logits.numpy()
        for index, answer, length in zip(chosen, logits, lengths.tolist(), strict=True):
            answers[index] = answer[:length]
    model.train(was_training)
    return [answers[index] for index in range(len(part))]
