"""How a run trains: everything but its data, architecture and seed."""

from __future__ import annotations

import dataclasses
from typing import Literal

from training.data.frames.augment import Augmentation

DEFAULT_STEPS = 1_200


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All of it; each task has its own defaults."""

    learning_rate: float
    """The highest, after warm-up; AdamW's."""
    muon_learning_rate: float | None = None
    """The highest for matrices of stacked layers, learnt by Muon; None: by AdamW, as all else."""
    mixed_precision: Literal["bf16"] | None = None
    """bf16: products are computed in bfloat16 while it learns, where the CPU can."""
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
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

    def __post_init__(self) -> None:
        """Raises: ValueError: There is no such precision."""
        if self.mixed_precision not in (None, "bf16"):
            raise ValueError(f"mixed_precision: there is bf16, not {self.mixed_precision!r}")
