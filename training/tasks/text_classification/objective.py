"""What a classifier of texts learns, and the baseline that it must beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from torch import Tensor
from torch.nn import functional

from service.tasks.text.characters import CharacterVocabulary, characters_of
from service.tasks.text.vocabulary import Vocabulary
from training.data.batches import Row
from training.data.texts.labelled import Labelled, LabelledText
from training.fit.objective import Objective, Validation
from training.fit.scores import quick_scores

MIN_CHARACTER_COUNT = 3
"""Rarer characters are unknown, so that a model learns what that is."""
BATCH_SIZE = 64


class TextObjective(Objective):
    """Cross-entropy of a text's label; accuracy decides.

    Args:
        learnt: What is learnt from.
        validation: What decides which weights are the best.
        labels: All there are.
        vocabulary: Of the characters.
        smoothing: Of the labels.
    """

    def __init__(
        self,
        learnt: list[Labelled],
        validation: list[Labelled],
        labels: list[str],
        vocabulary: CharacterVocabulary,
        smoothing: float,
    ) -> None:
        self.validation = validation
        self.labels = labels
        self.vocabulary = vocabulary
        self.smoothing = smoothing
        self.learnt = [(self._encode(item), labels.index(item.label)) for item in learnt]

    @property
    def lengths(self) -> Sequence[int]:
        """Characters of each text."""
        return [len(ids) for ids, _ in self.learnt]

    def example(self, row: Row) -> tuple[NDArray[np.int64], int]:
        """A text's ids and its label's place."""
        return self.learnt[row.sequence]

    def collate(self, examples: list[tuple[NDArray[np.int64], int]]) -> tuple[Tensor, ...]:
        """Ids (batch, time, ...), lengths (batch,) and targets (batch,)."""
        lengths = torch.tensor([len(ids) for ids, _ in examples])
        shape = len(examples), int(lengths.max()), *examples[0][0].shape[1:]
        inputs = torch.zeros(shape, dtype=torch.int64)
        for row, (ids, _) in enumerate(examples):
            inputs[row, : len(ids)] = torch.from_numpy(ids)
        return inputs, lengths, torch.tensor([target for _, target in examples])

    def learn(
        self, model: Any, batch: tuple[Tensor, ...], backward: Callable[[Tensor], None]
    ) -> float:
        """The mean cross-entropy."""
        inputs, lengths, targets = batch
        logits = model(inputs, lengths).logits
        loss = functional.cross_entropy(logits, targets, label_smoothing=self.smoothing)
        backward(loss)
        return loss.item()

    def validate(self, model: Any) -> Validation:
        """Accuracy, and cross-entropy."""
        return Validation(*quick_scores(self.answer(model, self.validation), self.targets()))

    def targets(self, items: list[Labelled] | None = None) -> NDArray[np.int64]:
        """The place of each label (count,); of the validation part's if None."""
        chosen = self.validation if items is None else items
        return np.array([self.labels.index(item.label) for item in chosen])

    @torch.no_grad()
    def answer(self, model: Any, items: list[Labelled]) -> Tensor:
        """Logits (count, labels) in the order of the texts."""
        was_training = model.training
        model.eval()
        encoded = [(self._encode(item), 0) for item in items]
        order = np.argsort([len(ids) for ids, _ in encoded], kind="stable")
        answers: list[Tensor] = []
        for start in range(0, len(order), BATCH_SIZE):
            chosen = [encoded[index] for index in order[start : start + BATCH_SIZE]]
            inputs, lengths, _ = self.collate(chosen)
            answers.append(model(inputs, lengths).logits)
        model.train(was_training)
        return torch.cat(answers)[torch.from_numpy(np.argsort(order))]

    def _encode(self, item: Labelled) -> NDArray[np.int64]:
        return self.vocabulary.pack(characters_of(item.text))


def characters_in(items: list[Labelled]) -> Vocabulary:
    """The characters of some texts that are not rare."""
    counts = Counter(character for item in items for character in characters_of(item.text))
    return Vocabulary(sorted(c for c, count in counts.items() if count >= MIN_CHARACTER_COUNT))


def baseline_accuracy(data: LabelledText) -> float:
    """Accuracy on the test part of naive Bayes over one to three neighbouring characters."""
    counts = CountVectorizer(analyzer="char", ngram_range=(1, 3), lowercase=False)
    model = make_pipeline(counts, MultinomialNB(alpha=0.1))
    learnt = [*data.train, *data.validation]
    model.fit([item.text for item in learnt], [item.label for item in learnt])
    return float(model.score([item.text for item in data.test], [item.label for item in data.test]))
