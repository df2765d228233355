"""A tiny made data set: two features, three classes told apart by where the first one peaks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from models import architecture_of
from training.data.frames.augment import Augmentation
from training.data.frames.dataset import Dataset, SequenceSet
from training.recipe import Recipe
from training.task import Run

LABELS = ["early", "middle", "late"]

RECIPE = Recipe(
    learning_rate=1e-2,
    augmentation=Augmentation(stretch=0.1, noise=0.05, mask_steps=0.1),
    steps=60,
    batch_size=8,
    evaluate_every=10,
    validation_share=0.2,
)


def make_part(count: int, seed: int) -> SequenceSet:
    random = np.random.default_rng(seed)
    targets = np.arange(count) % len(LABELS)
    sequences = []
    for target in targets:
        length = int(random.integers(8, 24))
        sequence = random.normal(5.0, 0.3, (length, 2)).astype(np.float32)
        sequence[int((target + 0.5) / len(LABELS) * length), 0] += 5
        sequences.append(sequence)
    return SequenceSet(sequences, targets.astype(np.int64))


def make_dataset(count: int = 60) -> Dataset:
    return Dataset(
        name="made",
        train=make_part(count, 1),
        test=make_part(30, 2),
        labels=LABELS,
        feature_names=["a", "b"],
        licence="none",
        split="made",
        max_length=100,
    )


def make_run(family: str = "gru", seed: int = 0, dropout: float = 0.1, **recipe: object) -> Run:
    architecture = architecture_of(family, 2, len(LABELS), hidden_size=16, dropout=dropout)
    changed = dataclasses.replace(RECIPE, **recipe)  # type: ignore[arg-type]
    sizes = dataclasses.asdict(architecture)
    return Run(f"made-{family}", "classification", sizes, changed, seed)


def write_recipe(folder: Path) -> Path:
    """A recipe of a tiny recurrent network on files of the made set, beside it."""
    files = {"train": folder / "train.npz", "test": folder / "test.npz"}
    for seed, path in enumerate(files.values()):
        part = make_part(24, seed)
        lengths = np.array([len(sequence) for sequence in part.sequences])
        labels = np.array(LABELS)[part.targets]
        np.savez(path, X=np.concatenate(part.sequences), lengths=lengths, y=labels)
    recipe = folder / "peaks-rnn.toml"
    recipe.write_text(
        'task = "classification"\nfamily = "rnn"\n'
        f'[data]\ntrain = "{files["train"]}"\ntest = "{files["test"]}"\nname = "peaks"\n'
        "[architecture]\nhidden_size = 8\nnum_layers = 1\n[fit]\nsteps = 3\n"
    )
    return recipe
