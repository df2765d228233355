from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from tests.training.made import make_part
from training.data.batches import BucketedBatches, collate, pad, split_validation
from training.data.frames.augment import Augmentation, Augmenter, shift, stretch
from training.data.frames.dataset import SequenceSet
from training.data.profile import feature_moments, profile_of


def floats(values: ArrayLike) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def test_an_epoch_has_every_sequence_and_full_batches() -> None:
    lengths = np.random.default_rng(0).integers(5, 90, 101).tolist()
    batches = list(BucketedBatches(lengths, 8, num_steps=13, seed=1))
    assert {len(batch) for batch in batches} == {8}
    counts = np.bincount([row.sequence for batch in batches for row in batch], minlength=101)
    assert counts.min() == 1
    assert counts.sum() == 13 * 8


def test_batches_are_of_like_lengths_and_come_in_no_order() -> None:
    lengths = np.random.default_rng(0).integers(5, 90, 800).tolist()
    batches = list(BucketedBatches(lengths, 8, num_steps=100, seed=1))
    longest = [max(lengths[row.sequence] for row in batch) for batch in batches]
    real = sum(lengths[row.sequence] for batch in batches for row in batch)
    assert real / (8 * sum(longest)) > 0.85  # unsorted: 0.55
    assert longest != sorted(longest)


def test_a_resumed_run_has_the_batches_that_it_would_have_had() -> None:
    lengths = list(range(1, 40))
    whole = list(BucketedBatches(lengths, 8, num_steps=23, seed=5))
    assert list(BucketedBatches(lengths, 8, 23, 5, first_step=7)) == whole[7:]
    assert list(BucketedBatches(lengths, 8, 23, seed=6)) != whole


def test_fewer_sequences_than_a_batch_still_fill_it() -> None:
    batches = list(BucketedBatches([4, 5, 6], 8, num_steps=2, seed=0))
    assert [len(batch) for batch in batches] == [8, 8]
    assert {row.sequence for row in batches[0]} == {0, 1, 2}


def test_padding_comes_after_each_sequence() -> None:
    part = make_part(4, seed=0)
    rows = list(zip(part.sequences, part.targets.tolist(), strict=True))
    inputs, lengths, targets = collate(rows)
    for row, sequence in enumerate(part.sequences):
        assert lengths[row] == len(sequence)
        assert np.array_equal(inputs[row, : len(sequence)].numpy(), sequence)
        assert not inputs[row, len(sequence) :].any()
    assert targets.tolist() == part.targets.tolist()
    assert pad(part.sequences)[0].shape == inputs.shape


def test_the_validation_part_is_stratified_and_apart() -> None:
    targets = np.array([0] * 50 + [1] * 20 + [2] * 2 + [3])
    whole = SequenceSet([floats([[index]]) for index in range(73)], targets)
    learnt, validation = split_validation(whole, 0.2, seed=0)
    assert np.bincount(validation.targets, minlength=4).tolist() == [10, 4, 1, 0]
    parts = [{float(item[0, 0]) for item in part.sequences} for part in (learnt, validation)]
    assert parts[0] | parts[1] == set(range(73))
    assert not parts[0] & parts[1]
    assert split_validation(whole, 0.2, seed=1)[1].sequences != validation.sequences


def test_a_set_without_two_of_any_class_can_not_be_validated() -> None:
    whole = SequenceSet([np.zeros((3, 1), np.float32)] * 2, np.array([0, 1]))
    with pytest.raises(ValueError, match="no label has two items to learn from"):
        split_validation(whole, 0.2, seed=0)


def test_moments_weigh_every_step_alike_and_never_divide_by_zero() -> None:
    part = SequenceSet(
        [floats([[0, 7.1]]), floats([[3, 7.1], [3, 7.1], [6, 7.1]])], np.array([0, 1])
    )
    mean, deviation = feature_moments(part)
    assert mean.tolist() == pytest.approx([3, 7.1])
    assert deviation.tolist() == pytest.approx([np.sqrt(4.5), 1.0])
    profile = profile_of(part)
    assert profile.length_quantiles["0.5"] == 2
    assert profile.length_bins is not None
    assert sum(profile.length_bins.shares) == pytest.approx(1.0)
    assert profile.feature_ranges == [(0.0, 6.0), (pytest.approx(7.1), pytest.approx(7.1))]
    first, constant = profile.feature_bins
    assert (first.edges[0], first.edges[-1]) == pytest.approx((0.9, 5.1))
    assert sum(first.shares) == pytest.approx(1.0, abs=1e-5)
    assert len(constant.edges) == 1


def test_a_stretch_keeps_the_ends_and_what_is_between() -> None:
    frames = floats(np.arange(11)[:, None] * [1, 2])
    longer = stretch(frames, 1.9)
    assert longer.shape == (21, 2)
    assert np.allclose(longer[:, 0], np.arange(21) / 2)
    assert np.allclose(longer[:, 1], np.arange(21))
    assert stretch(frames[:1], 0.5).shape == (1, 2)


def test_a_shift_moves_features_and_repeats_the_outermost() -> None:
    frames = floats([[1, 2, 4, 8]])
    assert shift(frames, 1.0).tolist() == [[1, 1, 2, 4]]
    assert shift(frames, -0.5).tolist() == [[1.5, 3, 6, 8]]


def test_masks_hide_at_most_their_share_behind_the_mean() -> None:
    mean = floats([-1] * 10)
    settings = Augmentation(mask_features=0.3, mask_steps=0.2)
    augment = Augmenter(settings, mean, np.ones(10, np.float32))
    frames = np.ones((20, 10), np.float32)
    widths = set()
    for seed in range(40):
        hidden = augment(frames, np.random.default_rng(seed)) == -1
        widths.add((int(hidden.all(axis=0).sum()), int(hidden.all(axis=1).sum())))
        assert hidden.sum() == 20 * 10 - (~hidden).any(axis=0).sum() * (~hidden).any(axis=1).sum()
    assert {features for features, _ in widths} == {0, 1, 2, 3}
    assert {steps for _, steps in widths} == {0, 1, 2, 3, 4}
    assert frames.min() == 1  # the data set itself is left alone


def test_gain_moves_all_values_by_one_constant_and_noise_each_by_its_own() -> None:
    frames = np.zeros((500, 2), np.float32)
    deviation = floats([1, 10])
    gained = Augmenter(Augmentation(gain=0.7), deviation, deviation)(
        frames, np.random.default_rng(0)
    )
    assert len(np.unique(gained)) == 1
    assert gained[0, 0] != 0
    noisy = Augmenter(Augmentation(noise=0.1), deviation, deviation)(
        frames, np.random.default_rng(0)
    )
    assert noisy.std(axis=0).tolist() == pytest.approx([0.1, 1.0], rel=0.1)
