"""What a tagger learns: each word's tag, or all of a sentence's together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from service.tasks.tagging.decoding import Decoder
from service.tasks.tagging.spans import is_span_set
from service.tasks.tagging.viterbi import Transitions
from service.tasks.text.vocabulary import UNKNOWN, WordVocabulary
from training.data.batches import Row
from training.data.texts.tagged import Sentence
from training.fit.objective import Objective, Validation
from training.tasks.tagging.scores import tagging_scores
from training.tasks.tagging.vocabulary import word_counts

UNKNOWN_SHARE = 0.5
"""How often a word that occurs once is taken for an unknown one, so that these are learnt too."""
NO_TAG = -100
"""The target past a sentence's end, or of a tag that training has never seen."""
BATCH_SIZE = 64

Encoded = tuple[NDArray[np.int64], NDArray[np.int64]]
"""A sentence's ids (time, values) and its tags (time,)."""


class TaggingObjective(Objective):
    """Cross-entropy of each word's tag, or of a random field's; accuracy or span F1 decides.

    Args:
        learnt: What is learnt from.
        validation: What decides which weights are the best.
        labels: The tags.
        vocabulary: Of the words and characters.
        smoothing: Of the labels, where there is no random field.
    """

    def __init__(
        self,
        learnt: list[Sentence],
        validation: list[Sentence],
        labels: list[str],
        vocabulary: WordVocabulary,
        smoothing: float,
    ) -> None:
        self.validation = validation
        self.labels = labels
        self.vocabulary = vocabulary
        self.smoothing = smoothing
        self._place = {label: index for index, label in enumerate(labels)}
        once = [word for word, count in word_counts(learnt).items() if count == 1]
        self._is_once = np.zeros(len(vocabulary.words), dtype=bool)
        self._is_once[vocabulary.words.ids(once)] = True
        self.learnt = [self._encode(sentence) for sentence in learnt]

    @property
    def lengths(self) -> Sequence[int]:
        """Words of each sentence."""
        return [len(ids) for ids, _ in self.learnt]

    def example(self, row: Row) -> Encoded:
        """A sentence in which some of the rarest words are unknown."""
        ids, tags = self.learnt[row.sequence]
        chance = np.random.default_rng(row.seed).random(len(ids))
        changed = ids.copy()
        changed[self._is_once[ids[:, 0]] & (chance < UNKNOWN_SHARE), 0] = UNKNOWN
        return changed, tags

    def collate(self, examples: list[Encoded]) -> tuple[Tensor, ...]:
        """Ids (batch, time, values), lengths (batch,) and tags (batch, time)."""
        lengths = torch.tensor([len(ids) for ids, _ in examples])
        num_steps, num_values = int(lengths.max()), examples[0][0].shape[1]
        inputs = torch.zeros(len(examples), num_steps, num_values, dtype=torch.int64)
        targets = torch.full((len(examples), num_steps), NO_TAG)
        for row, (ids, tags) in enumerate(examples):
            inputs[row, : len(ids)] = torch.from_numpy(ids)
            targets[row, : len(tags)] = torch.from_numpy(tags)
        return inputs, lengths, targets

    def learn(
        self, model: Any, batch: tuple[Tensor, ...], backward: Callable[[Tensor], None]
    ) -> float:
        """The mean loss of a word."""
        inputs, lengths, targets = batch
        loss = self._loss(model, model(inputs, lengths).logits, lengths, targets, self.smoothing)
        backward(loss)
        return loss.item()

    def validate(self, model: Any) -> Validation:
        """The chief score, and the mean loss of a word."""
        scores = self.scores(model, self.validation)
        return Validation(scores[chief_metric(self.labels)], scores["loss"])

    def scores(self, model: Any, sentences: list[Sentence]) -> dict[str, float]:
        """What the model's tags of these are worth, and the mean loss of a word."""
        answers, loss = self.answer(model, sentences)
        has_spans = chief_metric(self.labels) == "span_f1"
        expected = [sentence.tags for sentence in sentences]
        return {**tagging_scores(expected, answers, has_spans=has_spans), "loss": loss}

    @torch.no_grad()
    def answer(self, model: Any, sentences: list[Sentence]) -> tuple[list[list[str]], float]:
        """Each sentence's tags as a server decodes them, and the mean loss of a word."""
        was_training = model.training
        model.eval()
        decoder = Decoder(len(self.labels), transitions_of(model))
        order = np.argsort([len(sentence.words) for sentence in sentences], kind="stable")
        answers: list[list[str]] = [[] for _ in sentences]
        total = 0.0
        for start in range(0, len(order), BATCH_SIZE):
            chosen = order[start : start + BATCH_SIZE]
            inputs, lengths, targets = self.collate(
                [self._encode(sentences[index]) for index in chosen]
            )
            logits = model(inputs, lengths).logits
            total += self._loss(model, logits, lengths, targets).item() * int(lengths.sum())
            tags = decoder.decode(logits.numpy(), lengths.numpy()).tags
            for row, index in enumerate(chosen):
                answers[index] = [self.labels[tag] for tag in tags[row, : int(lengths[row])]]
        model.train(was_training)
        return answers, total / sum(len(sentence.words) for sentence in sentences)

    def _encode(self, sentence: Sentence) -> Encoded:
        tags = [self._place.get(tag, NO_TAG) for tag in sentence.tags]
        return self.vocabulary.pack(sentence.words), np.array(tags)

    @staticmethod
    def _loss(
        model: Any, logits: Tensor, lengths: Tensor, targets: Tensor, smoothing: float = 0.0
    ) -> Tensor:
        """The mean loss of a word, of logits (batch, time, tags)."""
        if (field := field_of(model)) is not None:
            whole: Tensor = field(logits, targets.clamp(min=0), lengths).sum()
            return whole / lengths.sum()
        return functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=NO_TAG, label_smoothing=smoothing
        )


def chief_metric(labels: list[str]) -> str:
    """`span_f1` where the labels mark spans, else `accuracy`."""
    return "span_f1" if is_span_set(labels) else "accuracy"


def field_of(model: Any) -> Any:
    """The random field over a model's logits; None if it has none."""
    whole = getattr(model, "module", model)  # as it is wrapped for several processes
    return getattr(whole.head, "field", None)


def transitions_of(model: Any) -> bytes | None:
    """The file of a model's transitions, if it has any."""
    field = field_of(model)
    if field is None:
        return None
    parts = (part.detach().cpu().double().numpy() for part in field.transitions())
    return Transitions(*parts).to_bytes()
