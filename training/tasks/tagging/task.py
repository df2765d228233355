"""Tagging as training knows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models import SequenceModel
from models.tagging.tagger import TaggerArchitecture, build_tagger
from service.manifest import Inputs, Limits, Outputs, Profile
from service.tasks.tagging.settings import TaggingSettings
from service.tasks.tagging.spans import OUTSIDE, may_follow
from training.data.limits import longest_accepted
from training.data.profile import length_profile
from training.data.texts.brown import load_brown
from training.data.texts.conll import load_conll
from training.data.texts.tagged import TaggedText, with_validation
from training.recipe import Recipe
from training.task import Contract, Run, TrainingTask, scores_of
from training.tasks.tagging.objective import (
    TaggingObjective,
    chief_metric,
    field_of,
    transitions_of,
)
from training.tasks.tagging.scores import majority_tags, tagging_scores
from training.tasks.tagging.vocabulary import vocabulary_of

EPOCHS, MIN_STEPS = 12, 300
BATCH_SIZE = 32
MIN_LONGEST, MIN_LONGEST_TEXT = 256, 10_000
"""Words and characters in a sentence that a model accepts at least; more where its data had."""
TRANSITIONS_FILE = "transitions.npz"
BASELINE = "most frequent tag of a word"


class TaggingTask(TrainingTask[TaggedText, TaggingObjective]):
    """Of words, in sentences."""

    name = "tagging"
    own_options = frozenset({"validation_share"})

    def load(
        self,
        dataset: str = "",
        train: str = "",
        valid: str = "",
        test: str = "",
        name: str = "",
        validation_share: float = 0.05,
        **options: Any,
    ) -> TaggedText:
        """`dataset = "brown"` and its `kind`; or a user's files, in CoNLL's format.

        A set without a validation part gives `validation_share` of its training sentences.
        """
        if dataset == "brown":
            data = load_brown(**options)
        elif dataset:
            raise ValueError(f"no data set {dataset!r}; there is brown")
        else:
            validation = Path(valid) if valid else None
            name = name or Path(train).stem
            data = load_conll(Path(train), Path(test), name, validation, **options)
        return with_validation(data, validation_share)

    def default_recipe(self, family: str, data: TaggedText) -> Recipe:
        """Some times over all sentences; some more where they are few."""
        return Recipe(
            learning_rate=1.5e-3 if family == "transformer" else 5e-3,
            steps=max(MIN_STEPS, EPOCHS * -(-len(data.train) // BATCH_SIZE)),
            batch_size=BATCH_SIZE,
            label_smoothing=0.05,
        )

    def default_architecture(self, family: str, data: TaggedText, **sizes: Any) -> dict[str, Any]:
        """The family's, for the set's vocabulary and tags; a random field over those of spans."""
        tokens = vocabulary_of(data.train).tokens()
        architecture = TaggerArchitecture(
            family, tokens, len(data.labels()), has_transitions=data.has_spans, **sizes
        )
        return dataclasses.asdict(architecture)

    def begin(self, run: Run, data: TaggedText) -> tuple[nn.Module, TaggingObjective]:
        """A new model; its random field, if any, allows no span that begins in its middle."""
        labels = data.labels()
        model = self.rebuild(run.architecture)
        if (field := field_of(model)) is not None:
            between = [[not may_follow(a, b) for b in labels] for a in labels]
            first = [not may_follow(OUTSIDE, label) for label in labels]
            field.forbid(torch.tensor(between), torch.tensor(first))
        vocabulary, smoothing = vocabulary_of(data.train), run.recipe.label_smoothing
        return model, TaggingObjective(data.train, data.validation, labels, vocabulary, smoothing)

    def rebuild(self, architecture: dict[str, Any]) -> SequenceModel:
        """Of any family."""
        return build_tagger(TaggerArchitecture(**architecture))

    def measure(
        self, model: SequenceModel, data: TaggedText, objective: TaggingObjective
    ) -> dict[str, Any]:
        """Accuracy and spans."""
        return {
            "metric": chief_metric(objective.labels),
            "higher_is_better": True,
            "sequences": {
                "train": len(data.train),
                "validation": len(data.validation),
                "test": len(data.test),
            },
            "test_words": sum(len(sentence.words) for sentence in data.test),
            "test": objective.scores(model, data.test),
            "validation": objective.scores(model, data.validation),
        }

    def baselines(self, data: TaggedText) -> dict[str, Any]:
        """What each word's most frequent tag reaches."""
        expected = [sentence.tags for sentence in data.test]
        tags = majority_tags([*data.train, *data.validation], data.test)
        scores = tagging_scores(expected, tags, has_spans=data.has_spans)
        return {"baselines": {BASELINE: scores[chief_metric(data.labels())]}}

    def check(self, data: TaggedText) -> list[str]:
        """Each part has sentences, and what is learnt from more tags than one."""
        faults = super().check(data)
        if len(labels := data.labels()) < 2:
            faults.append(
                f"the train part, without what is held for validation, has one tag alone "
                f"({', '.join(labels)}): give more sentences, or a file for validation"
            )
        return faults

    def contract(
        self,
        run: Run,
        data: TaggedText,
        objective: TaggingObjective,
        model: SequenceModel,
        metrics: dict[str, Any],
    ) -> Contract:
        """Words and characters in, logits of each word's tag out."""
        vocabulary, transitions = objective.vocabulary, transitions_of(model)
        settings = TaggingSettings(
            num_characters=vocabulary.num_characters,
            max_characters=_longest(data, lambda words: len(" ".join(words)), MIN_LONGEST_TEXT),
            transitions=TRANSITIONS_FILE if transitions else None,
        )
        files = {
            settings.words: vocabulary.words.to_bytes(),
            settings.characters: vocabulary.characters.to_bytes(),
        }
        return Contract(
            inputs=Inputs(tokens=vocabulary.tokens()),
            outputs=Outputs(labels=objective.labels, per_step=True),
            limits=Limits(max_length=_longest(data, len, MIN_LONGEST)),
            quality=scores_of(metrics),
            profile=self.profile(data, objective),
            settings=settings,
            files={**files, TRANSITIONS_FILE: transitions} if transitions else files,
        )

    def profile(self, data: TaggedText, objective: TaggingObjective) -> Profile:
        """Of the training sentences."""
        is_known = objective.vocabulary.is_known
        known = [is_known(word) for sentence in data.test for word in sentence.words]
        return length_profile(objective.lengths, float(np.mean(known)))

    def settings(self, data: TaggedText) -> dict[str, Any]:
        """With the parts' sizes."""
        sizes = {"train": len(data.train), "validation": len(data.validation)}
        return {**super().settings(data), "sentences": sizes}


def _longest(data: TaggedText, size: Callable[[list[str]], int], at_least: int) -> int:
    """What a model accepts of a sentence, by the sizes of those in its data."""
    learnt = [size(sentence.words) for sentence in data.train]
    others = [size(sentence.words) for sentence in [*data.validation, *data.test]]
    return longest_accepted(learnt, others, at_least)
