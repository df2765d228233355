"""Classification of texts as training knows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from models import Architecture, SequenceModel, architecture_of, build
from service.manifest import Inputs, Limits, Outputs, Profile
from service.tasks.classification.settings import TextClassificationSettings
from service.tasks.text.characters import CharacterVocabulary, characters_of
from training.data.limits import longest_accepted
from training.data.profile import length_profile
from training.data.texts.labelled import LabelledText, with_validation
from training.data.texts.languages import load_languages
from training.data.texts.tsv import load_tsv
from training.fit.report import draw_confusion
from training.fit.scores import full_scores
from training.recipe import Recipe
from training.task import Contract, Run, TrainingTask, scores_of
from training.tasks.text_classification.objective import (
    TextObjective,
    baseline_accuracy,
    characters_in,
)

EPOCHS, MIN_STEPS = 4, 300
BATCH_SIZE = 64
MIN_LONGEST = 1_000
"""Characters in a text that a model accepts at least; more where its data had longer ones."""
BASELINE = "naive Bayes on one to three characters"


class TextClassificationTask(TrainingTask[LabelledText, TextObjective]):
    """Of texts."""

    name = "text_classification"
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
    ) -> LabelledText:
        """`dataset = "languages"`; or a user's tables, see `training.data.texts.tsv.load_tsv`."""
        if dataset == "languages":
            data = load_languages(**options)
        elif dataset:
            raise ValueError(f"no data set {dataset!r}; there is languages")
        else:
            validation = Path(valid) if valid else None
            name = name or Path(train).stem
            data = load_tsv(Path(train), Path(test), name, validation, **options)
        return with_validation(data, validation_share)

    def default_recipe(self, family: str, data: LabelledText) -> Recipe:
        """Some times over all texts; some more where they are few."""
        return Recipe(
            learning_rate=1.5e-3 if family == "transformer" else 4e-3,
            steps=max(MIN_STEPS, EPOCHS * -(-len(data.train) // BATCH_SIZE)),
            batch_size=BATCH_SIZE,
            label_smoothing=0.05,
        )

    def default_architecture(self, family: str, data: LabelledText, **sizes: Any) -> dict[str, Any]:
        """The family's, for the set's characters and labels."""
        num_tokens, num_classes = len(characters_in(data.train)), len(data.labels())
        return dataclasses.asdict(
            architecture_of(family, 0, num_classes, num_tokens=num_tokens, **sizes)
        )

    def begin(self, run: Run, data: LabelledText) -> tuple[nn.Module, TextObjective]:
        """A new model, and the texts."""
        vocabulary = CharacterVocabulary(characters_in(data.train), run.architecture["groups"])
        smoothing = run.recipe.label_smoothing
        objective = TextObjective(data.train, data.validation, data.labels(), vocabulary, smoothing)
        return self.rebuild(run.architecture), objective

    def rebuild(self, architecture: dict[str, Any]) -> SequenceModel:
        """Of any family."""
        return build(Architecture(**architecture))

    def measure(
        self, model: SequenceModel, data: LabelledText, objective: TextObjective
    ) -> dict[str, Any]:
        """Accuracy, macro F1 and confusion."""
        scores = {
            part: full_scores(
                objective.answer(model, items), objective.targets(items), objective.labels
            ).as_dict()
            for part, items in {"test": data.test, "validation": data.validation}.items()
        }
        return {
            "metric": "accuracy",
            "higher_is_better": True,
            "labels": objective.labels,
            "sequences": {
                "train": len(data.train),
                "validation": len(data.validation),
                "test": len(data.test),
            },
            **scores,
        }

    def baselines(self, data: LabelledText) -> dict[str, Any]:
        """The accuracy of naive Bayes."""
        return {"baselines": {BASELINE: baseline_accuracy(data)}}

    def check(self, data: LabelledText) -> list[str]:
        """Each part has texts, and of labels only those that are learnt."""
        known = {*data.labels()}
        return super().check(data) + [
            f"the {name} part has texts labelled {', '.join(sorted(unknown))}, of which there are "
            "none to learn from: give the training part some, or leave these out"
            for name, part in self.parts(data).items()
            if (unknown := {item.label for item in part} - known)
        ]

    def contract(
        self,
        run: Run,
        data: LabelledText,
        objective: TextObjective,
        model: SequenceModel,
        metrics: dict[str, Any],
    ) -> Contract:
        """Characters in, labels out."""
        vocabulary = objective.vocabulary
        settings = TextClassificationSettings(buckets=vocabulary.buckets)
        characters = vocabulary.characters
        others = (len(characters_of(item.text)) for item in [*data.validation, *data.test])
        max_length = longest_accepted(objective.lengths, others, MIN_LONGEST)
        return Contract(
            inputs=Inputs(tokens=vocabulary.tokens()),
            outputs=Outputs(labels=objective.labels),
            limits=Limits(max_length=max_length),
            quality=scores_of(metrics),
            profile=self.profile(data, objective),
            settings=settings,
            files={settings.characters: characters.to_bytes()},
        )

    def profile(self, data: LabelledText, objective: TextObjective) -> Profile:
        """Of the training texts."""
        characters = objective.vocabulary.characters
        known = [character in characters for item in data.test for character in item.text]
        return length_profile(objective.lengths, float(np.mean(known)))

    def settings(self, data: LabelledText) -> dict[str, Any]:
        """With the parts' sizes."""
        sizes = {"train": len(data.train), "validation": len(data.validation)}
        return {**super().settings(data), "texts": sizes}

    def draw(self, folder: Path, data: LabelledText, metrics: dict[str, Any]) -> None:
        """The confusion of the test split."""
        draw_confusion(folder, metrics["test"]["confusion"], metrics["labels"])
