"""The check at load refuses every model whose answer hangs on anything but the sequence itself."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from service.errors import BundleError
from service.graphs.checks.invariance import check_invariance, probe
from service.graphs.model import Arrays
from tests.fakes import SumModel, make_manifest

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def check(model: SumModel, chunk_steps: int) -> None:
    sequences = probe(model.spec, chunk_steps, model.manifest.profile)
    check_invariance(model, sequences, chunk_steps)


@pytest.mark.parametrize("kind", ["cells", "sequences", "weights"])
@pytest.mark.parametrize("chunk_steps", [1, 5, 16])
@pytest.mark.parametrize("max_length", [1, 16, 1_000])
def test_good_models_pass(kind: str, chunk_steps: int, max_length: int) -> None:
    batching: Literal["cells", "sequences"] = "cells" if kind == "cells" else "sequences"
    limits = {"max_length": max_length}
    model = SumModel(make_manifest(batching, weights=kind == "weights", limits=limits))
    check(model, chunk_steps)
    lengths = {len(row) for run in model.runs for row in run}
    assert max(lengths) == min(max_length, 40)  # the profile's 0.99 quantile
    assert max(map(len, model.runs)) > 1 or max_length == 1


class _Spoiled(SumModel):
    def spoil(self, outputs: Arrays, inputs: Floats, lengths: Ints) -> None:
        """Change the outputs in place."""

    def run(self, inputs: Floats, lengths: Ints, state: Arrays) -> Arrays:
        outputs = super().run(inputs, lengths, state)
        self.spoil(outputs, inputs, lengths)
        return outputs


class ReadsPadding(_Spoiled):
    def spoil(self, outputs: Arrays, inputs: Floats, lengths: Ints) -> None:
        outputs["logits"][:, 0] += inputs.sum(axis=(1, 2))


class MultipliesPaddingByZero(_Spoiled):
    """The usual mask, which lets NaN and infinity through."""

    def spoil(self, outputs: Arrays, inputs: Floats, lengths: Ints) -> None:
        mask = np.arange(inputs.shape[1]) < lengths[:, None]
        with np.errstate(invalid="ignore"):
            outputs["logits"][:, 0] += (inputs * mask[:, :, None]).sum(axis=(1, 2))


class ReadsLargePadding(_Spoiled):
    def spoil(self, outputs: Arrays, inputs: Floats, lengths: Ints) -> None:
        outputs["logits"][:, 0] += np.nan_to_num(inputs, posinf=0).max(axis=(1, 2))


class CountsPadding(_Spoiled):
    def spoil(self, outputs: Arrays, inputs: Floats, lengths: Ints) -> None:
        outputs["logits"][:, 1] = inputs.shape[1]


class SubtractsBatchMean(_Spoiled):
    def spoil(self, outputs: Arrays, inputs: Floats, lengths: Ints) -> None:
        outputs["logits"] -= outputs["logits"].mean(axis=0)


class RoundsByTheLargest(_Spoiled):
    """As quantisation does that takes one scale for all rows: neighbours alike hardly show it."""

    def spoil(self, outputs: Arrays, inputs: Floats, lengths: Ints) -> None:
        rows = zip(inputs, lengths, strict=True)
        largest = max(float(np.max(np.abs(row[:length]))) for row, length in rows)
        step = largest / 127
        outputs["logits"][:, 1] += step if step > 1 else 0  # an error, as rounding makes it


class KnowsItsRow(_Spoiled):
    def spoil(self, outputs: Arrays, inputs: Floats, lengths: Ints) -> None:
        outputs["logits"][:, 1] += np.arange(len(inputs))


class WantsRowsSortedByLength(SumModel):
    def run(self, inputs: Floats, lengths: Ints, state: Arrays) -> Arrays:
        return super().run(inputs, np.sort(lengths), state)


class SharesWeights(_Spoiled):
    """Good logits, but weights normalised over the batch."""

    def spoil(self, outputs: Arrays, inputs: Floats, lengths: Ints) -> None:
        outputs["weights"] /= np.nansum(outputs["weights"])


class AnswersNan(_Spoiled):
    def spoil(self, outputs: Arrays, inputs: Floats, lengths: Ints) -> None:
        outputs["logits"][:] = np.nan


class AnswersInfinity(_Spoiled):
    def spoil(self, outputs: Arrays, inputs: Floats, lengths: Ints) -> None:
        outputs["logits"][:] = np.inf


@pytest.mark.parametrize(
    "broken",
    [
        ReadsPadding,
        MultipliesPaddingByZero,
        ReadsLargePadding,
        CountsPadding,
        SubtractsBatchMean,
        RoundsByTheLargest,
        KnowsItsRow,
        WantsRowsSortedByLength,
        SharesWeights,
        AnswersNan,
        AnswersInfinity,
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # the models' own arithmetic
def test_a_model_that_depends_on_its_batch_is_refused(broken: type[SumModel]) -> None:
    model = broken(make_manifest("sequences", weights=True))
    with pytest.raises(BundleError, match=r"not batch-invariant: (logits|weights) of a sequence"):
        check(model, chunk_steps=8)


class HeedsTenSteps(SumModel):
    """As a graph that was unrolled for the steps of an example."""

    def run(self, inputs: Floats, lengths: Ints, state: Arrays) -> Arrays:
        heeded = np.minimum(lengths, 10)
        return super().run(inputs[:, : heeded.max()], heeded, state)


def test_a_model_that_does_not_heed_the_end_is_refused() -> None:
    with pytest.raises(BundleError, match="the last 10 of 40 steps change nothing"):
        check(HeedsTenSteps(make_manifest("sequences")), chunk_steps=8)


class IgnoresState(SumModel):
    def run(self, inputs: Floats, lengths: Ints, state: Arrays) -> Arrays:
        initial = {pair.input: np.full_like(state[pair.input], pair.initial)
                   for pair in self.manifest.state}  # fmt: skip
        return super().run(inputs, lengths, initial)


class IgnoresOneOfTheStates(SumModel):
    def run(self, inputs: Floats, lengths: Ints, state: Arrays) -> Arrays:
        return super().run(inputs, lengths, state | {"count": np.zeros_like(state["count"])})


class MixesStates(SumModel):
    """Takes each row's state from the row before."""

    def run(self, inputs: Floats, lengths: Ints, state: Arrays) -> Arrays:
        return super().run(inputs, lengths, {k: np.roll(v, 1, axis=0) for k, v in state.items()})


class FirstStateForAll(SumModel):
    def run(self, inputs: Floats, lengths: Ints, state: Arrays) -> Arrays:
        first = {name: np.repeat(held[:1], len(held), axis=0) for name, held in state.items()}
        return super().run(inputs, lengths, first)


class ForgetsToGiveStateBack(SumModel):
    def run(self, inputs: Floats, lengths: Ints, state: Arrays) -> Arrays:
        return super().run(inputs, lengths, state) | {"hash_out": state["hash"]}


@pytest.mark.parametrize(
    "broken",
    [IgnoresState, IgnoresOneOfTheStates, MixesStates, FirstStateForAll, ForgetsToGiveStateBack],
)
@pytest.mark.parametrize("quantiles", [{}, {"0.5": 27}])
def test_a_model_that_loses_or_mixes_its_state_between_chunks_is_refused(
    broken: type[SumModel], quantiles: dict[str, float]
) -> None:
    profile = {
        "length_quantiles": quantiles,
        "feature_means": [4.0, 5.0],
        "feature_deviations": [2.0, 2.0],
    }
    with pytest.raises(BundleError, match="in chunks of 16 steps"):
        check(broken(make_manifest("cells", profile=profile)), chunk_steps=16)
