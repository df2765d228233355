"""Learning to write down what is said: CTC, after a beginning in which each step is told its label.

CTC alone (Graves et al. 2006) begins with long stretches in which a model says only blank. Made
sequences are known step by step, so the first steps of a run use that: cross-entropy, each step's
label being the one whose recording it is in, on excerpts of few labels, which are cheap. Then CTC
takes over, at first on excerpts too: when the model says a label is from there on its own affair.
Of recordings with a transcript alone nothing is known by steps: CTC from the first step on.
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
from training.data.frames.transcribed import Part
from training.fit.edits import error_rate
from training.fit.objective import Objective, Validation

Frames = NDArray[np.float32]


NOT_TOLD = -100
"""A step whose label is not told; cross-entropy passes it over."""


class Example(NamedTuple):
    """One augmented sequence."""

    frames: Frames
    said: list[int]
    labels: NDArray[np.int64]
    """(time,), what is said at each step: the blank where nothing is, or NOT_TOLD."""


class Beginning(NamedTuple):
    """How a run begins where it is known when each label is said; in steps from its start."""

    told_steps: int
    """With each step's label told."""
    excerpt_steps: int
    """On excerpts."""
    excerpt_labels: int
    """In an excerpt, at most."""
    told_share: float
    """Of each label, its last part, that is told: a model that can't look ahead has to hear it."""


class CtcObjective(Objective):
    """Learns from one part of what is transcribed, and validates on another.

    Args:
        learnt: What is learnt from.
        validation: What is validated on.
        augmenter: Changes each sequence afresh; labels move with its time.
        beginning: How the run begins; None: by CTC, as it goes on.
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
        beginning: Beginning | None,
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
        frames, said = self.learnt.frames[row.sequence], self.learnt.said[row.sequence]
        labels = np.full(len(frames), NOT_TOLD)
        if self.beginning is not None and self.learnt.spans_s is not None:
            spans_s = self.learnt.spans_s[row.sequence]
            frames, said, labels = self._begun(
                self.beginning, row.seed[1], random, frames, said, spans_s
            )
        changed = self.augmenter(frames, random)
        places = np.linspace(0, len(frames) - 1, len(changed)).round().astype(int)
        return Example(changed, said, labels[places])

    def collate(self, examples: list[Example]) -> tuple[Tensor, ...]:
        """Inputs (batch, time, features), labels (batch, time), what is said (batch, most), and

        how many labels are said in each row, (batch,).
        """
        size = max(len(item.frames) for item in examples)
        most = max(len(item.said) for item in examples)
        inputs = torch.full((len(examples), size, examples[0].frames.shape[1]), self.silence)
        is_told = examples[0].labels[0] != NOT_TOLD
        labels = torch.full((len(examples), size), self.blank if is_told else NOT_TOLD)
        said = torch.zeros(len(examples), most, dtype=torch.long)
        for row, item in enumerate(examples):
            inputs[row, : len(item.frames)] = torch.from_numpy(item.frames)
            labels[row, : len(item.labels)] = torch.from_numpy(item.labels)
            said[row, : len(item.said)] = torch.tensor(item.said)
        return inputs, labels, said, torch.tensor([len(item.said) for item in examples])

    def learn(
        self, model: Any, batch: tuple[Tensor, ...], backward: Callable[[Tensor], None]
    ) -> float:
        """Add the gradients of the loss: of a step while labels are told, then of a label said."""
        inputs, labels, said, counts = batch
        lengths = torch.full((len(inputs),), inputs.shape[1])
        logits = model(inputs, lengths).logits  # (batch, time, classes)
        if labels[0, 0] != NOT_TOLD:
            loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        else:
            logs = logits.log_softmax(dim=2).transpose(0, 1)
            total = functional.ctc_loss(
                logs, said, lengths, counts, self.blank, reduction="sum", zero_infinity=True
            )
            loss = total / counts.sum().clamp(min=1)
        backward(loss)
        return float(loss.detach())

    def validate(self, model: Any) -> Validation:
        """One less the error rate, decoded greedily, on the validation part."""
        logits = logits_of(model, self.validation)
        found = [greedy(log_softmax(item), self.blank) for item in logits]
        rate = error_rate(found, self.validation.said)
        return Validation(score=1 - rate, loss=rate)

    def _begun(
        self,
        beginning: Beginning,
        step: int,
        random: np.random.Generator,
        frames: Frames,
        said: list[int],
        spans_s: list[tuple[float, float]],
    ) -> tuple[Frames, list[int], NDArray[np.int64]]:
        """A sequence or an excerpt, what is said there, and what each step is told."""
        spans = [
            (round(start_s / self.step_s), round(end_s / self.step_s)) for start_s, end_s in spans_s
        ]
        labels = np.full(len(frames), self.blank if step < beginning.told_steps else NOT_TOLD)
        if step < beginning.told_steps:
            for label, (start, end) in zip(said, spans, strict=True):
                labels[end - math.ceil((end - start) * beginning.told_share) : end] = label
        if step >= beginning.excerpt_steps or not said:
            return frames, said, labels
        count = int(random.integers(1, beginning.excerpt_labels + 1))
        first = int(random.integers(0, max(1, len(said) - count + 1)))
        cut = slice(*excerpt(len(frames), spans, first, count))
        return frames[cut], said[first : first + count], labels[cut]


def excerpt(
    num_steps: int, spans: list[tuple[int, int]], first: int, count: int
) -> tuple[int, int]:
    """Where `count` labels from `first` on lie, cut in the middle of the pauses around them."""
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
