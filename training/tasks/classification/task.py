"""Classification: one label for a whole sequence of features."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models import Architecture, SequenceModel, architecture_of, build
from service.manifest import Inputs, Limits, Outputs, Profile, Quality
from training.data.batches import Row, collate, split_validation
from training.data.frames.augment import Augmentation, Augmenter
from training.data.frames.dataset import Dataset, SequenceSet
from training.data.frames.files import load_own
from training.data.frames.fsdd import load_fsdd
from training.data.profile import feature_moments, profile_of
from training.fit.bptt import accumulate_gradients
from training.fit.objective import Objective, Validation
from training.fit.report import draw_confusion
from training.fit.scores import answer, full_scores, quick_scores
from training.recipe import DEFAULT_STEPS, Recipe
from training.task import Contract, Run, TrainingTask
from training.tasks.classification.baseline import baseline_accuracy

SPEECH = Augmentation(
    stretch=0.15, gain=0.7, shift=1.0, noise=0.1, mask_features=0.2, mask_steps=0.15
)
"""For log-mel frames: another pace, loudness and voice, and parts unheard."""

SERIES = Augmentation(stretch=0.1, noise=0.05, mask_steps=0.1)
"""For sequences of unknown meaning: only what leaves levels and channels alone."""

LEARNING_RATES = {
    "rnn": 1e-3,
    "lstm": 3e-3,
    "gru": 2e-3,
    "birnn": 3e-3,
    "attention": 2e-3,
    "transformer": 1e-3,
    "hybrid": 2e-3,
}

STEPS = {"rnn": 1_600}
SIZES: dict[str, dict[str, object]] = {"rnn": {"cell": "rnn_relu"}}
"""Where a family's are others than for other tasks; why: docs/bring-your-own-data.md."""
BASELINE = "logistic regression"


class ClassificationObjective(Objective):
    """Cross-entropy, by truncated backpropagation through time if asked; accuracy decides."""

    def __init__(
        self, learnt: SequenceSet, validation: SequenceSet, recipe: Recipe, augmenter: Augmenter
    ) -> None:
        self.learnt = learnt
        self.validation = validation
        self.recipe = recipe
        self.augmenter = augmenter

    @property
    def lengths(self) -> Sequence[int]:
        """Steps of each sequence."""
        return [len(sequence) for sequence in self.learnt.sequences]

    def example(self, row: Row) -> tuple[NDArray[np.float32], int]:
        """Frames float32 (time, features), augmented afresh each time, and their class."""
        random = np.random.default_rng(row.seed)
        frames = self.augmenter(self.learnt.sequences[row.sequence], random)
        return frames, int(self.learnt.targets[row.sequence])

    def collate(self, examples: list[tuple[NDArray[np.float32], int]]) -> tuple[Tensor, ...]:
        """Inputs (batch, time, features), lengths (batch,), targets (batch,)."""
        return collate(examples)

    def learn(
        self, model: Any, batch: tuple[Tensor, ...], backward: Callable[[Tensor], None]
    ) -> float:
        """The mean cross-entropy."""
        inputs, lengths, targets = batch
        window = self.recipe.tbptt_window
        return accumulate_gradients(model, inputs, lengths, targets, window, self._loss, backward)

    def validate(self, model: Any) -> Validation:
        """Accuracy, and cross-entropy."""
        logits = answer(model, self.validation)
        return Validation(*quick_scores(logits, self.validation.targets))

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each answer: logits (n, classes) and targets (n,) to (n,)."""
        smoothing = self.recipe.label_smoothing
        return functional.cross_entropy(
            logits, targets, reduction="none", label_smoothing=smoothing
        )


class ClassificationTask(TrainingTask[Dataset, ClassificationObjective]):
    """Of frames."""

    name = "classification"

    def load(
        self, dataset: str = "", train: str = "", test: str = "", name: str = "", **options: Any
    ) -> Dataset:
        """`dataset = "fsdd"` with its split; or a user's `train` and `test` files."""
        if dataset == "fsdd":
            return load_fsdd(**options)
        if dataset:
            raise ValueError(f"no data set {dataset!r}; there is fsdd")
        return load_own(train, test, name or Path(train).stem, **options)

    def default_recipe(self, family: str, data: Dataset) -> Recipe:
        """The family's recipe for a training split of this size."""
        return recipe_for(family, len(data.train), is_audio=data.audio is not None)

    def default_architecture(self, family: str, data: Dataset, **sizes: Any) -> dict[str, Any]:
        """The family's own, with the set's features and labels."""
        return dataclasses.asdict(architecture_for(family, data, **sizes))

    def begin(self, run: Run, data: Dataset) -> tuple[nn.Module, ClassificationObjective]:
        """A model that standardises with the figures of what it will learn from."""
        learnt, validation = split_validation(data.train, run.recipe.validation_share, run.seed)
        model = standardised(self.rebuild(run.architecture), learnt)
        mean, deviation = model.front.mean.numpy(), model.front.deviation.numpy()
        augmenter = Augmenter(run.recipe.augmentation, mean, deviation)
        return model, ClassificationObjective(learnt, validation, run.recipe, augmenter)

    def rebuild(self, architecture: dict[str, Any]) -> SequenceModel:
        """Of any family."""
        return build(Architecture(**architecture))

    def measure(
        self, model: SequenceModel, data: Dataset, objective: ClassificationObjective
    ) -> dict[str, Any]:
        """Accuracy, macro F1 and confusion."""
        parts = {"test": data.test, "validation": objective.validation}
        scores = {
            part: full_scores(answer(model, rows), rows.targets, data.labels).as_dict()
            for part, rows in parts.items()
        }
        return {
            "metric": "accuracy",
            "higher_is_better": True,
            "labels": data.labels,
            "sequences": {
                "train": len(objective.learnt),
                "validation": len(objective.validation),
                "test": len(data.test),
            },
            **scores,
        }

    def baselines(self, data: Dataset) -> dict[str, Any]:
        """A logistic regression's accuracy."""
        return {"baselines": {BASELINE: baseline_accuracy(data)}}

    def contract(
        self,
        run: Run,
        data: Dataset,
        objective: ClassificationObjective,
        model: SequenceModel,
        metrics: dict[str, Any],
    ) -> Contract:
        """Features in, labels out."""
        return Contract(
            inputs=Inputs(features=data.feature_names),
            outputs=Outputs(labels=data.labels),
            limits=Limits(max_length=data.max_length),
            quality=Quality(
                test_accuracy=metrics["test"]["accuracy"],
                test_sequences=len(data.test),
                baseline_accuracy=metrics["baselines"][BASELINE],
                seeds=metrics["seeds"],
            ),
            profile=self.profile(data, objective),
            audio=data.audio,
        )

    def profile(self, data: Dataset, objective: ClassificationObjective) -> Profile:
        """Of what is learnt from, the validation part left out."""
        return profile_of(objective.learnt)

    def settings(self, data: Dataset) -> dict[str, Any]:
        """With the training split's size and the frames' settings."""
        audio = data.audio.model_dump() if data.audio else None
        return {**super().settings(data), "train_sequences": len(data.train), "audio": audio}

    def draw(self, folder: Path, data: Dataset, metrics: dict[str, Any]) -> None:
        """The confusion of the test split."""
        draw_confusion(folder, metrics["test"]["confusion"], data.labels)


def architecture_for(family: str, data: Dataset, **sizes: Any) -> Architecture:
    """The family's own, with the set's features and labels.

    Raises:
        ValueError: No such family or size.
    """
    sizes = {**SIZES.get(family, {}), **sizes}
    return architecture_of(family, len(data.feature_names), len(data.labels), **sizes)


def standardised(model: SequenceModel, learnt: SequenceSet) -> SequenceModel:
    """The model, standardising with the figures of what it will learn from."""
    mean, deviation = feature_moments(learnt)
    model.front.mean.copy_(torch.from_numpy(mean))
    model.front.deviation.copy_(torch.from_numpy(deviation))
    return model


def recipe_for(family: str, num_sequences: int, *, is_audio: bool) -> Recipe:
    """The family's recipe for a training split of this size.

    A small set has smaller batches, so that an epoch still has several steps, and a larger share
    for validation, so that its score still tells settings apart.
    """
    is_small = num_sequences < 400
    return Recipe(
        learning_rate=LEARNING_RATES[family],
        augmentation=SPEECH if is_audio else SERIES,
        steps=STEPS.get(family, DEFAULT_STEPS),
        batch_size=min(32, max(4, num_sequences // 4)),
        validation_share=0.2 if is_small else 0.1,
    )
