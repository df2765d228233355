"""The options of `train`, and the run and data set that they ask for."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import NoReturn, Protocol

from models import FAMILIES, Architecture, build
from training.card import check_name
from training.data.frames.augment import Augmentation
from training.data.frames.dataset import Dataset
from training.data.frames.files import LOADERS, load_own
from training.data.frames.fsdd import load_fsdd
from training.data.frames.recordings import holds_recordings
from training.task import Run
from training.tasks.classification.task import architecture_for, recipe_for

SIZES: dict[str, type] = {
    "hidden_size": int,
    "num_layers": int,
    "num_heads": int,
    "cell": str,
    "head": str,
    "score": str,
    "dropout": float,
}
RECIPE: dict[str, type] = {
    "steps": int,
    "batch_size": int,
    "learning_rate": float,
    "weight_decay": float,
    "label_smoothing": float,
    "patience": int,
    "tbptt_window": int,
}
CHOICES = {
    "cell": ("rnn_tanh", "rnn_relu", "lstm", "gru"),
    "head": ("last", "mean", "attention"),
    "score": ("additive", "dot"),
}
SHARES = ("dropout", "label_smoothing")  # from 0 to under 1
DEFAULT_FAMILY = "hybrid"
DEFAULT_SPEAKER = "theo"


class Refuse(Protocol):
    """Ends the command with a message, as `ArgumentParser.error` does."""

    def __call__(self, message: str) -> NoReturn:
        """End it."""


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """What `train` asks."""
    add_data_options(parser)
    parser.add_argument("--name", help="of the bundle; with --dataset fsdd: digits-FAMILY")
    parser.add_argument("--family", choices=sorted(FAMILIES), default=DEFAULT_FAMILY)
    parser.add_argument("--seed", type=int, default=0)
    for title, options in (("architecture", SIZES), ("recipe", RECIPE)):
        group = parser.add_argument_group(f"{title}: the family's defaults unless given")
        for name, kind in options.items():
            group.add_argument(_flag(name), type=kind, choices=CHOICES.get(name))
    parser.add_argument("--no-augment", action="store_true", help="train on the sequences as is")


def add_data_options(parser: argparse.ArgumentParser, purpose: str = "") -> None:
    """Which data: a known set, or a user's two files."""
    data = parser.add_argument_group(f"data: --dataset, or --train and --test{purpose}")
    data.add_argument("--dataset", choices=["fsdd"], help="a set with a loader of its own")
    data.add_argument(
        "--train",
        type=Path,
        metavar="FILE",
        help="to learn from: .ts, .npz, or recordings: a folder a class, or a table (.csv, .tsv)",
    )
    data.add_argument(
        "--test",
        type=Path,
        metavar="FILE",
        help="to score, likewise; recordings are parted if there is none",
    )
    data.add_argument("--split", choices=["official", "speaker"], default="official")
    data.add_argument("--speaker", help=f"whom --split speaker leaves out ({DEFAULT_SPEAKER})")


def read_train_options(options: argparse.Namespace, refuse: Refuse) -> tuple[Run, Dataset]:
    """The run and the data set that the options ask for; what is wrong names its option."""
    _check_values(options, refuse)
    dataset = read_data_options(options, refuse)
    sizes = _given(options, SIZES)
    try:
        architecture = architecture_for(options.family, dataset, **sizes)
    except ValueError as error:
        refuse(f"argument --cell: {error}")
    _check_architecture(architecture, options, refuse)
    recipe = recipe_for(options.family, len(dataset.train), is_audio=dataset.audio is not None)
    if options.no_augment:
        recipe = dataclasses.replace(recipe, augmentation=Augmentation())
    recipe = dataclasses.replace(recipe, **_given(options, RECIPE))  # type: ignore[arg-type]
    sizes = dataclasses.asdict(architecture)
    return Run(run_name(options), "classification", sizes, recipe, options.seed), dataset


def run_name(options: argparse.Namespace) -> str:
    """The bundle's name: as given, or after the family (and whom it has never heard)."""
    if options.name:
        return str(options.name)
    suffix = f"-without-{options.speaker or DEFAULT_SPEAKER}" if options.split == "speaker" else ""
    return f"digits-{options.family}{suffix}"


def read_data_options(options: argparse.Namespace, refuse: Refuse) -> Dataset:
    """The data set that the options ask for; `options.name` names a user's own."""
    if options.dataset:
        if options.train or options.test:
            refuse("argument --dataset: not together with --train and --test")
        return _load_fsdd(options, refuse)
    is_recordings = options.train is not None and holds_recordings(options.train)
    for name in ("train", "name") if is_recordings else ("train", "test", "name"):
        if not getattr(options, name):
            refuse(f"argument {_flag(name)}: needed where there is no --dataset")
    for name in ("split", "speaker"):
        if getattr(options, name) not in ("official", None):
            refuse(f"argument {_flag(name)}: of --dataset fsdd only")
    if not is_recordings and options.train.suffix not in LOADERS:
        refuse(f"argument --train: {options.train} is neither {' nor '.join(LOADERS)} nor a folder")
    if not is_recordings and options.test.suffix != options.train.suffix:
        refuse(f"argument --test: {options.test} is not a {options.train.suffix} as --train is")
    for name in ("train", "test"):
        if (path := getattr(options, name)) is not None and not path.exists():
            refuse(f"argument {_flag(name)}: no file {path}")
    try:
        return load_own(options.train, options.test or "", options.name)
    except (ValueError, OSError) as error:
        refuse(f"arguments --train, --test: {error}")


def _load_fsdd(options: argparse.Namespace, refuse: Refuse) -> Dataset:
    if options.speaker and options.split != "speaker":
        refuse("argument --speaker: needs --split speaker")
    try:
        return load_fsdd(options.split, options.speaker or DEFAULT_SPEAKER)
    except ValueError as error:
        option = "--speaker" if options.split == "speaker" else "--dataset"
        refuse(f"argument {option}: {error}")
    except OSError as error:
        refuse(f"argument --dataset: {error}")


def _check_values(options: argparse.Namespace, refuse: Refuse) -> None:
    try:
        check_name(run_name(options))
    except ValueError as error:
        refuse(f"argument --name: {error}")
    for name, value in _given(options, {**SIZES, **RECIPE}).items():
        if name in SHARES:
            if not 0 <= float(str(value)) < 1:
                refuse(f"argument {_flag(name)}: {value} is not from 0 to under 1")
        elif isinstance(value, int | float) and value <= 0 and name != "weight_decay":
            refuse(f"argument {_flag(name)}: {value} is not above 0")
    if options.seed < 0:
        refuse(f"argument --seed: {options.seed} is under 0")


def _check_architecture(
    architecture: Architecture, options: argparse.Namespace, refuse: Refuse
) -> None:
    try:
        model = build(architecture)
    except ValueError as error:
        refuse(f"argument --hidden-size: {error}")
    if options.tbptt_window and not model.state_shapes():
        refuse(f"argument --tbptt-window: {options.family} reads whole sequences, not windows")


def _given(options: argparse.Namespace, names: dict[str, type]) -> dict[str, object]:
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
