"""Transcription: connected digits, written down by CTC."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models import Architecture, SequenceModel, architecture_of, build
from service.manifest import Inputs, Limits, Outputs, Profile
from service.tasks.features import LogMel
from service.tasks.transcription.ctc import log_softmax
from service.tasks.transcription.settings import TranscriptionSettings
from service.tasks.transcription.transcript import DecoderName, decode
from training.data.frames.augment import Augmentation, Augmenter
from training.data.frames.connected import (
    MAX_DURATION_S,
    SAMPLE_RATE_HZ,
    ConnectedDigits,
    Part,
    load_connected,
)
from training.data.frames.dataset import SequenceSet
from training.data.profile import feature_moments, profile_of
from training.fit.edits import distances, error_rate
from training.recipe import Recipe
from training.task import Contract, Run, TrainingTask, scores_of
from training.tasks.transcription.objective import Beginning, CtcObjective, logits_of
from training.tasks.transcription.segments import baseline_error_rate

METRIC = "digit_error_rate"
BEAM = 10

AUGMENTATION = Augmentation(
    stretch=0.12, gain=0.5, shift=0.8, noise=0.05, mask_features=0.15, mask_steps=0.02
)
"""No masked span is as long as a digit: what is unheard could not be written down."""

LEARNING_RATES = {"lstm": 4e-3, "transformer": 2e-3}
DEFAULT_LEARNING_RATE = 3e-3

LOOKS_BACK = ("rnn", "lstm", "gru")
"""Families that have heard only what was before a step."""

KNOWS_POSITIONS = ("transformer",)
"""Families that know where a step is, and so no sequence longer than those they learnt from."""


class TranscriptionTask(TrainingTask[ConnectedDigits, CtcObjective]):
    """Of connected digits."""

    name = "transcription"

    def load(self, features: dict[str, Any] | None = None, **options: Any) -> ConnectedDigits:
        """Made sequences: `features` are `LogMel`'s settings, the rest is `load_connected`'s."""
        return load_connected(features=LogMel(**(features or {})), **options)

    def default_recipe(self, family: str, data: ConnectedDigits) -> Recipe:
        """Some minutes on one core."""
        rate = LEARNING_RATES.get(family, DEFAULT_LEARNING_RATE)
        return Recipe(learning_rate=rate, augmentation=AUGMENTATION, steps=800, evaluate_every=100)

    def default_architecture(
        self, family: str, data: ConnectedDigits, **sizes: Any
    ) -> dict[str, Any]:
        """The family's own, answering at each step with a digit or the blank."""
        num_classes = len(data.labels) + 1
        sizes = {"dropout": 0.0, **sizes, "head": "per_step"}
        return dataclasses.asdict(
            architecture_of(family, data.audio.num_mels, num_classes, **sizes)
        )

    def begin(self, run: Run, data: ConnectedDigits) -> tuple[SequenceModel, CtcObjective]:
        """A model that standardises with the figures of what it will learn from."""
        model = self.rebuild(run.architecture)
        mean, deviation = feature_moments(_set_of(data.train))
        model.front.mean.copy_(torch.from_numpy(mean))
        model.front.deviation.copy_(torch.from_numpy(deviation))
        objective = CtcObjective(
            data.train,
            data.validation,
            Augmenter(run.recipe.augmentation, mean, deviation),
            beginning_of(run),
            blank=len(data.labels),
            step_s=data.audio.hop_ms / 1_000,
            silence=math.log(data.audio.floor),
        )
        return model, objective

    def rebuild(self, architecture: dict[str, Any]) -> SequenceModel:
        """Of any family."""
        return build(Architecture(**architecture))

    def measure(
        self, model: SequenceModel, data: ConnectedDigits, objective: CtcObjective
    ) -> dict[str, Any]:
        """Error rates, and the errors in each test sequence."""
        parts = {"test": data.test, "validation": data.validation}
        found = _decoded(logits_of(model, data.test), objective.blank, "greedy")
        return {
            "metric": METRIC,
            "higher_is_better": False,
            "labels": [*data.labels],
            "sequences": {"train": len(data.train), **{k: len(part) for k, part in parts.items()}},
            **{name: scores(model, part, objective.blank) for name, part in parts.items()},
            "test_errors": distances(found, data.test.digits),
        }

    def baselines(self, data: ConnectedDigits) -> dict[str, Any]:
        """The error rate of segmentation by loudness."""
        return {"baselines": {"loudness and logistic regression": baseline_error_rate(data)}}

    def check(self, data: ConnectedDigits) -> list[str]:
        """Each part has sequences, and in some of them something is said."""
        return super().check(data) + [
            f"nothing is said in the {name} part: give it sequences with digits"
            for name, part in self.parts(data).items()
            if len(part) and not any(part.digits)
        ]

    def contract(
        self,
        run: Run,
        data: ConnectedDigits,
        objective: CtcObjective,
        model: SequenceModel,
        metrics: dict[str, Any],
    ) -> Contract:
        """Frames in, at each step a digit or the blank out."""
        return Contract(
            inputs=Inputs(features=data.audio.feature_names()),
            outputs=Outputs(labels=[*data.labels, "blank"], per_step=True),
            limits=Limits(max_length=longest(run.architecture["family"], data)),
            quality=scores_of(metrics),
            profile=self.profile(data, objective),
            settings=TranscriptionSettings(blank=objective.blank),
            audio=data.audio,
        )

    def profile(self, data: ConnectedDigits, objective: CtcObjective) -> Profile:
        """Of whole training sequences."""
        return profile_of(_set_of(data.train))

    def settings(self, data: ConnectedDigits) -> dict[str, Any]:
        """With the number of sequences and the frames' settings."""
        return {
            **super().settings(data),
            "train_sequences": len(data.train),
            "audio": data.audio.model_dump(),
        }


def longest(family: str, data: ConnectedDigits) -> int:
    """Steps of the longest sequence that a model is to accept."""
    if family in KNOWS_POSITIONS:
        return max(
            len(it) for part in (data.train, data.validation, data.test) for it in part.frames
        )
    return data.audio.num_frames(int(MAX_DURATION_S * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)


def beginning_of(run: Run) -> Beginning:
    """How a run begins: labels are told for a quarter of it."""
    steps = run.recipe.steps
    looks_back = run.architecture["family"] in LOOKS_BACK
    return Beginning(
        told_steps=steps // 4,
        excerpt_steps=steps // 4 if looks_back else steps // 2,
        excerpt_digits=3,
        told_share=0.5 if looks_back else 1.0,
    )


def scores(model: SequenceModel, part: Part, blank: int) -> dict[str, float]:
    """Error rates of both decoders, and the share of sequences without any error."""
    logits = logits_of(model, part)
    found = {decoder: _decoded(logits, blank, decoder) for decoder in ("greedy", "beam")}
    right = [
        list(mine) == theirs for mine, theirs in zip(found["greedy"], part.digits, strict=True)
    ]
    return {
        METRIC: error_rate(found["greedy"], part.digits),
        f"{METRIC}_beam": error_rate(found["beam"], part.digits),
        "sequence_accuracy": float(np.mean(right)),
        "digits": sum(map(len, part.digits)),
    }


def _decoded(
    logits: list[NDArray[np.float32]], blank: int, decoder: DecoderName
) -> list[tuple[int, ...]]:
    return [decode(log_softmax(item), blank, decoder, BEAM) for item in logits]


def _set_of(part: Part) -> SequenceSet:
    return SequenceSet(part.frames, np.zeros(len(part), dtype=np.int64))
