"""A model's answers on one part of a data set, and what they are worth."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor
from torch.nn import functional

from models import SequenceModel
from training.data.batches import pad
from training.data.frames.dataset import SequenceSet


@dataclasses.dataclass(frozen=True)
class Scores:
    """Over one part: `confusion[i][j]` counts sequences of class i answered as j."""

    accuracy: float
    loss: float
    macro_f1: float
    per_class: dict[str, dict[str, float]]
    confusion: list[list[int]]

    def as_dict(self) -> dict[str, Any]:
        """For `metrics.json`."""
        return dataclasses.asdict(self)


@torch.no_grad()
def answer(model: SequenceModel, part: SequenceSet, batch_size: int = 64) -> Tensor:
    """Logits (count, classes) in the part's order, on the CPU; batches are sorted by length."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    order = np.argsort([len(sequence) for sequence in part.sequences], kind="stable")
    answers: list[Tensor] = []
    for start in range(0, len(order), batch_size):
        chosen = [part.sequences[index] for index in order[start : start + batch_size]]
        inputs, lengths = pad(chosen)
        answers.append(model(inputs.to(device), lengths.to(device)).logits.cpu())
    model.train(was_training)
    logits = torch.cat(answers)
    return logits[torch.from_numpy(np.argsort(order))]


def quick_scores(logits: Tensor, targets: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy and mean cross-entropy of logits (count, classes): what a validation needs."""
    expected = torch.from_numpy(targets)
    accuracy = (logits.argmax(dim=1) == expected).double().mean()
    return float(accuracy), float(functional.cross_entropy(logits.double(), expected))


def full_scores(logits: Tensor, targets: NDArray[np.int64], labels: list[str]) -> Scores:
    """Everything there is to say about logits (count, classes)."""
    accuracy, loss = quick_scores(logits, targets)
    answers = logits.argmax(dim=1).numpy()
    classes = list(range(len(labels)))
    precision, recall, f1, count = precision_recall_fscore_support(
        targets, answers, labels=classes, zero_division=0
    )
    return Scores(
        accuracy=accuracy,
        loss=loss,
        macro_f1=float(np.mean(f1)),
        per_class={
            label: {
                "precision": float(precision[place]),
                "recall": float(recall[place]),
                "f1": float(f1[place]),
                "sequences": int(count[place]),
            }
            for place, label in enumerate(labels)
        },
        confusion=confusion_matrix(targets, answers, labels=classes).tolist(),
    )
