"""How each family is trained unless told otherwise. Sizes are in `models.families`."""

from __future__ import annotations

import dataclasses

from training.data.augment import Augmentation

SPEECH = Augmentation(
    stretch=0.15, gain=0.7, shift=1.0, noise=0.1, mask_features=0.2, mask_steps=0.15
)
"""For log-mel frames: another pace, loudness and voice, and parts unheard."""

SERIES = Augmentation(stretch=0.1, noise=0.05, mask_steps=0.1)
"""For sequences of unknown meaning: only what leaves levels and channels alone."""

LEARNING_RATES = {
    "rnn": 2e-3,
    "lstm": 3e-3,
    "gru": 2e-3,
    "birnn": 3e-3,
    "attention": 2e-3,
    "transformer": 1e-3,
    "hybrid": 2e-3,
}

STEPS = {"rnn": 1_600}
DEFAULT_STEPS = 1_200


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything about a run but data, architecture and seed."""

    learning_rate: float
    """The highest, after warm-up."""
    augmentation: Augmentation
    steps: int = DEFAULT_STEPS
    batch_size: int = 32
    weight_decay: float = 0.02
    warmup_share: float = 0.1
    """Of the steps, in which the learning rate rises; then it falls as a cosine to 0."""
    clip_norm: float = 1.0
    label_smoothing: float = 0.1
    validation_share: float = 0.1
    """Of the training split."""
    evaluate_every: int = 50
    """Steps between validations at least; an epoch if that is longer."""
    patience: int = 20
    """Validations without a better score before the run ends early."""
    tbptt_window: int | None = None
    """Steps to send gradients back through; None for whole sequences."""


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
