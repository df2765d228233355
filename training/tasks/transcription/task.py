"""Transcription: connected digits, or a user's own recordings, written down by CTC."""

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
from training.data.frames.connected import load_connected
from training.data.frames.dataset import SequenceSet
from training.data.frames.transcribed import SEPARATORS, Part, Transcribed
from training.data.frames.transcripts import load_transcripts
from training.data.profile import feature_moments, profile_of
from training.fit.edits import distances, error_rate
from training.recipe import Recipe
from training.task import Contract, Run, TrainingTask, scores_of
from training.tasks.transcription.baselines import baseline_error_rates
from training.tasks.transcription.objective import Beginning, CtcObjective, logits_of

BEAM = 10
BLANK = "blank"
"""What the label that says nothing is called."""

AUGMENTATION = Augmentation(
    stretch=0.12, gain=0.5, shift=0.8, noise=0.05, mask_features=0.15, mask_steps=0.02
)
"""No masked span is as long as a digit: what is unheard could not be written down."""

STEPS, STEPS_UNTOLD = 800, 2_000
"""Where steps are told their labels at first, and where CTC has to find them all by itself."""

LEARNING_RATES = {"lstm": 4e-3, "transformer": 2e-3}
DEFAULT_LEARNING_RATE = 3e-3

LOOKS_BACK = ("rnn", "lstm", "gru")
"""Families that have heard only what was before a step."""

KNOWS_POSITIONS = ("transformer",)
"""Families that know where a step is, and so no sequence longer than those they learnt from."""


class TranscriptionTask(TrainingTask[Transcribed, CtcObjective]):
    """Of recordings."""

    name = "transcription"
    own_options = frozenset({"features", "unit"})

    def load(
        self,
        train: str = "",
        valid: str = "",
        test: str = "",
        features: dict[str, Any] | None = None,
        **options: Any,
    ) -> Transcribed:
        """A user's tables, or sequences made of digits.

        Args:
            train: A table of files and transcripts; none for digits.
            valid: Likewise; drawn from `train` if there is none.
            test: Likewise.
            features: `LogMel`'s settings.
            options: `load_transcripts`'s, or `load_connected`'s.
        """
        audio = LogMel(**(features or {}))
        if train:
            return load_transcripts(train, valid, test, audio, **options)
        if valid or test:
            raise ValueError("valid and test need a table to learn from: train")
        return load_connected(features=audio, **options)

    def default_recipe(self, family: str, data: Transcribed) -> Recipe:
        """Some minutes on one core, for digits."""
        return Recipe(
            learning_rate=LEARNING_RATES.get(family, DEFAULT_LEARNING_RATE),
            augmentation=AUGMENTATION,
            steps=STEPS_UNTOLD if data.train.spans_s is None else STEPS,
            batch_size=min(32, max(4, len(data.train) // 4)),
            evaluate_every=100,
        )

    def default_architecture(self, family: str, data: Transcribed, **sizes: Any) -> dict[str, Any]:
        """The family's own, answering at each step with a label or the blank."""
        num_classes = len(data.labels) + 1
        sizes = {"dropout": 0.0, **sizes, "head": "per_step"}
        return dataclasses.asdict(
            architecture_of(family, data.audio.num_mels, num_classes, **sizes)
        )

    def begin(self, run: Run, data: Transcribed) -> tuple[SequenceModel, CtcObjective]:
        """A model that standardises with the figures of what it will learn from."""
        model = self.rebuild(run.architecture)
        mean, deviation = feature_moments(_set_of(data.train))
        model.front.mean.copy_(torch.from_numpy(mean))
        model.front.deviation.copy_(torch.from_numpy(deviation))
        objective = CtcObjective(
            data.train,
            data.validation,
            Augmenter(run.recipe.augmentation, mean, deviation),
            beginning_of(run) if data.train.spans_s is not None else None,
            blank=len(data.labels),
            step_s=data.audio.hop_ms / 1_000,
            silence=math.log(data.audio.floor),
        )
        return model, objective

    def rebuild(self, architecture: dict[str, Any]) -> SequenceModel:
        """Of any family."""
        return build(Architecture(**architecture))

    def measure(
        self, model: SequenceModel, data: Transcribed, objective: CtcObjective
    ) -> dict[str, Any]:
        """Error rates, and the errors in each test sequence."""
        parts = {"test": data.test, "validation": data.validation}
        found = _decoded(logits_of(model, data.test), objective.blank, "greedy")
        return {
            "metric": metric_of(data),
            "higher_is_better": False,
            "labels": [*data.labels],
            "sequences": {"train": len(data.train), **{k: len(part) for k, part in parts.items()}},
            **{name: scores(model, part, data) for name, part in parts.items()},
            "test_errors": distances(found, data.test.said),
        }

    def baselines(self, data: Transcribed) -> dict[str, Any]:
        """By what is known of the training part."""
        return {"baselines": baseline_error_rates(data)}

    def check(self, data: Transcribed) -> list[str]:
        """Each part has sequences, and in some of them something is said."""
        return super().check(data) + [
            f"nothing is said in the {name} part: give it sequences with {data.unit}s"
            for name, part in self.parts(data).items()
            if len(part) and not any(part.said)
        ]

    def contract(
        self,
        run: Run,
        data: Transcribed,
        objective: CtcObjective,
        model: SequenceModel,
        metrics: dict[str, Any],
    ) -> Contract:
        """Frames in, at each step a label or the blank out."""
        return Contract(
            inputs=Inputs(features=data.audio.feature_names()),
            outputs=Outputs(labels=[*data.labels, BLANK], per_step=True),
            limits=Limits(max_length=longest(run.architecture["family"], data)),
            quality=scores_of(metrics),
            profile=self.profile(data, objective),
            settings=TranscriptionSettings(blank=objective.blank, separator=SEPARATORS[data.unit]),
            audio=data.audio,
        )

    def profile(self, data: Transcribed, objective: CtcObjective) -> Profile:
        """Of whole training sequences."""
        return profile_of(_set_of(data.train))

    def settings(self, data: Transcribed) -> dict[str, Any]:
        """With what a label is, the number of sequences and the frames' settings."""
        return {
            **super().settings(data),
            "unit": data.unit,
            "train_sequences": len(data.train),
            "audio": data.audio.model_dump(),
        }


def longest(family: str, data: Transcribed) -> int:
    """Steps of the longest sequence that a model is to accept."""
    if family in KNOWS_POSITIONS:
        return max(
            len(it) for part in (data.train, data.validation, data.test) for it in part.frames
        )
    return data.max_length


def beginning_of(run: Run) -> Beginning:
    """How a run begins where labels can be told: they are, for a quarter of it."""
    steps = run.recipe.steps
    looks_back = run.architecture["family"] in LOOKS_BACK
    return Beginning(
        told_steps=steps // 4,
        excerpt_steps=steps // 4 if looks_back else steps // 2,
        excerpt_labels=3,
        told_share=0.5 if looks_back else 1.0,
    )


def metric_of(data: Transcribed) -> str:
    """The name of the error rate."""
    return f"{data.unit}_error_rate"


def scores(model: SequenceModel, part: Part, data: Transcribed) -> dict[str, float]:
    """Error rates of both decoders, and the share of sequences without any error."""
    logits, metric = logits_of(model, part), metric_of(data)
    found = {name: _decoded(logits, len(data.labels), name) for name in ("greedy", "beam")}
    right = [list(mine) == theirs for mine, theirs in zip(found["greedy"], part.said, strict=True)]
    counts = {f"{data.unit}s": sum(map(len, part.said))}
    if part.num_unknown:
        counts[f"unknown_{data.unit}s"] = part.num_unknown
    return {
        metric: error_rate(found["greedy"], part.said),
        f"{metric}_beam": error_rate(found["beam"], part.said),
        "sequence_accuracy": float(np.mean(right)),
        **counts,
    }


def _decoded(
    logits: list[NDArray[np.float32]], blank: int, decoder: DecoderName
) -> list[tuple[int, ...]]:
    return [decode(log_softmax(item), blank, decoder, BEAM) for item in logits]


def _set_of(part: Part) -> SequenceSet:
    return SequenceSet(part.frames, np.zeros(len(part), dtype=np.int64))
