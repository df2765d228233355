"""Which sequences train together, and the parts of a training set.

Everything here is a function of the seed and the step, so that a run which was killed goes on with
the very batches it would have had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from training.data.frames.dataset import SequenceSet
from training.data.groups import held_groups
from training.data.held import hold_out_of_each

POOL_BATCHES = 8


class Row(NamedTuple):
    """One row of one batch: which sequence, and the seed of its augmentation."""

    sequence: int
    seed: tuple[int, int, int]


class BucketedBatches(Sampler[list[Row]]):
    """Batches of sequences of like lengths, for a whole run: one a step.

    An epoch is a permutation, cut into pools of a few batches; each pool is sorted by length, so
    that little is padding while batches still differ from epoch to epoch. Batches are all of one
    size (an epoch's last is filled with other sequences), so that processes can share each evenly.

    Args:
        lengths: Steps of each sequence.
        batch_size: Rows in each batch, over all processes.
        num_steps: Batches in the whole run.
        seed: Of the permutations.
        first_step: Where a resumed run goes on.
    """

    drop_last = True  # asked by accelerate, which parts each batch among its processes

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        num_steps: int,
        seed: int,
        first_step: int = 0,
    ) -> None:
        self.lengths = np.array(lengths)
        self.batch_size = batch_size
        self.num_steps = num_steps
        self.seed = seed
        self.first_step = first_step
        self.batches_per_epoch = -(-len(lengths) // batch_size)

    def __len__(self) -> int:
        return self.num_steps - self.first_step

    def __iter__(self) -> Iterator[list[Row]]:
        batches: list[NDArray[np.int64]] = []
        for step in range(self.first_step, self.num_steps):
            epoch, place = divmod(step, self.batches_per_epoch)
            if place == 0 or not batches:
                batches = self._epoch(epoch)
            yield [
                Row(int(index), (self.seed, step, row)) for row, index in enumerate(batches[place])
            ]

    def _epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of one epoch, each (batch,) of indexes."""
        random = np.random.default_rng((self.seed, epoch))
        count = len(self.lengths)
        order = np.concatenate(
            [random.permutation(count) for _ in range(1 + self.batch_size // count)]
        )
        missing = self.batches_per_epoch * self.batch_size - count
        order = np.concatenate([order[:count], random.choice(count, missing)])
        pool = POOL_BATCHES * self.batch_size
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            batches.extend(part.reshape(-1, self.batch_size))
        return [batches[place] for place in random.permutation(len(batches))]


class HasExamples(Protocol):
    """What gives training items: an objective."""

    def example(self, row: Row) -> Any:
        """The item of a row."""


class Examples(TorchDataset[Any]):
    """An objective's training items by row."""

    def __init__(self, objective: HasExamples) -> None:
        self.objective = objective

    def __getitem__(self, row: Row) -> Any:
        """The row's item."""
        return self.objective.example(row)


def pad(sequences: list[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Stack (time_i, features) into float32 (batch, time, features), and int64 lengths (batch,)."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    inputs = torch.zeros(len(sequences), int(lengths.max()), sequences[0].shape[1])
    for row, sequence in enumerate(sequences):
        inputs[row, : len(sequence)] = torch.from_numpy(sequence)
    return inputs, lengths


def collate(rows: list[tuple[NDArray[np.float32], int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (batch, time, features), lengths (batch,), targets (batch,)."""
    inputs, lengths = pad([frames for frames, _ in rows])
    return inputs, lengths, torch.tensor([target for _, target in rows])


def split_validation(
    whole: SequenceSet, share: float, seed: int
) -> tuple[SequenceSet, SequenceSet]:
    """Part a training set into what is learnt from and a stratified validation part.

    Every class gives `share` of its sequences, rounded, but at least one, and never its only one;
    where there are groups, as near to that as whole ones come.

    Raises:
        ValueError: No class has two sequences, or groups can't be parted.
    """
    if whole.groups is not None:
        is_held = held_groups(whole.targets, whole.groups, share, seed)
        learnt, held = np.flatnonzero(~is_held).tolist(), np.flatnonzero(is_held).tolist()
    else:
        learnt, held = hold_out_of_each(range(len(whole)), share, whole.targets.tolist(), seed)
    return _subset(whole, learnt), _subset(whole, held)


def _subset(whole: SequenceSet, places: list[int]) -> SequenceSet:
    groups = None if whole.groups is None else whole.groups[places]
    return SequenceSet([whole.sequences[place] for place in places], whole.targets[places], groups)
