"""Learning to transcribe: told labels, CTC against its NumPy definition, scores, contract."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.tasks.transcription.ctc import log_likelihood, log_softmax
from service.tasks.transcription.settings import TranscriptionSettings
from tests.training.recordings import recordings_of_all_parts
from training.data.batches import Row
from training.data.frames.augment import Augmentation
from training.data.frames.transcribed import Transcribed
from training.fit.edits import error_rate
from training.task import Run
from training.tasks.transcription.baselines import loud_pieces
from training.tasks.transcription.objective import NOT_TOLD, CtcObjective, excerpt, logits_of
from training.tasks.transcription.task import TranscriptionTask

BLANK = 10
TASK = TranscriptionTask()


@cache
def data() -> Transcribed:
    return TASK.load(recordings=recordings_of_all_parts(), train_sequences=20, test_sequences=4)


def run_of(family: str = "lstm", steps: int = 8) -> Run:
    recipe = TASK.default_recipe(family, data())
    recipe = recipe.__class__(**{**vars(recipe), "steps": steps, "augmentation": Augmentation()})
    sizes = {"hidden_size": 8, "num_layers": 1}
    architecture = TASK.default_architecture(family, data(), **sizes)
    return Run("spoken", "transcription", architecture, recipe, seed=0)


def rows(objective: CtcObjective, step: int) -> list[Row]:
    return [Row(sequence, (0, step, sequence)) for sequence in range(len(objective.lengths))]


@pytest.mark.parametrize("family", ["lstm", "transformer"])
def test_the_loss_is_minus_the_log_likelihood_of_what_is_said(family: str) -> None:
    torch.manual_seed(0)
    model, objective = TASK.begin(run_of(family), data())
    model = model.double().eval()
    examples = [objective.example(row) for row in rows(objective, step=7)]
    inputs, *rest = objective.collate(examples)
    losses: list[float] = []
    found = objective.learn(
        model, (inputs.double(), *rest), lambda loss: losses.append(float(loss.detach()))
    )
    lengths = torch.full((len(inputs),), inputs.shape[1])
    logits = model(inputs.double(), lengths).logits.detach().numpy()
    expected = -sum(
        log_likelihood(log_softmax(row), tuple(item.said), BLANK)
        for row, item in zip(logits, examples, strict=True)
    )
    num_digits = sum(len(item.said) for item in examples)
    assert found == losses[0] == pytest.approx(expected / num_digits, rel=1e-6)


def test_labels_are_told_at_first_where_the_digits_are() -> None:
    _, objective = TASK.begin(run_of("transformer"), data())
    whole = objective.learnt
    for row in rows(objective, step=0):
        example = objective.example(row)
        changes = np.flatnonzero(np.diff(np.concatenate([[BLANK], example.labels, [BLANK]])))
        assert len(example.labels) == len(example.frames)
        assert len(example.said) <= 3  # an excerpt
        if example.said:
            assert example.labels[changes[0]] == example.said[0]
        said = example.labels[example.labels != BLANK]
        assert set(said.tolist()) == set(example.said)
    # later: whole sequences, and nothing told
    for row in rows(objective, step=7):
        example = objective.example(row)
        assert example.said == whole.said[row.sequence]
        assert np.array_equal(example.frames, whole.frames[row.sequence])
        assert (example.labels == NOT_TOLD).all()


def test_what_can_not_look_ahead_is_told_the_last_part_of_each_digit() -> None:
    told = {}
    for family in ("lstm", "birnn"):
        _, objective = TASK.begin(run_of(family), data())
        examples = [objective.example(row) for row in rows(objective, step=1)]
        told[family] = sum(int((item.labels != BLANK).sum()) for item in examples)
    assert told["lstm"] < 0.7 * told["birnn"]


def test_a_batch_of_silence_alone_is_learnt_from_too() -> None:
    model, objective = TASK.begin(run_of(), data())
    example = objective.example(rows(objective, step=7)[0])._replace(said=[])
    loss = objective.learn(model, objective.collate([example, example]), lambda loss: None)
    assert np.isfinite(loss)


spans = st.lists(st.tuples(st.integers(0, 5), st.integers(2, 9)), min_size=1, max_size=6)


@settings(deadline=None)
@given(spans, st.data(), st.integers(1, 4))
def test_an_excerpt_holds_its_digits_whole_and_no_others(
    parts: list[tuple[int, int]], drawn: st.DataObject, rest: int
) -> None:
    placed = []
    now = 0
    for pause, length in parts:
        placed.append((now + pause, now + pause + length))
        now += pause + length
    first = drawn.draw(st.integers(0, len(placed) - 1))
    count = drawn.draw(st.integers(1, len(placed) - first))
    start, end = excerpt(now + rest, placed, first, count)
    assert 0 <= start < end <= now + rest
    for place, (begins, ends) in enumerate(placed):
        if first <= place < first + count:
            assert start <= begins
            assert ends <= end
        else:
            assert ends <= start or end <= begins + 1  # a shared edge may be a step's


@pytest.mark.parametrize(
    ("found", "expected", "rate"),
    [
        ([[4, 2, 7]], [[4, 2, 7]], 0.0),
        ([[4, 7]], [[4, 2, 7]], 1 / 3),
        ([[4, 1, 7], []], [[4, 2, 7], [5]], 2 / 4),
        ([[1], [3, 3]], [[], [3]], 2.0),
    ],
)
def test_error_rates(found: list[list[int]], expected: list[list[int]], rate: float) -> None:
    assert error_rate(found, expected) == pytest.approx(rate)


def test_no_rate_without_labels_or_with_sequences_missing() -> None:
    with pytest.raises(ValueError, match="no labels are expected"):
        error_rate([[1]], [[]])
    with pytest.raises(ValueError, match="zip"):
        error_rate([[1]], [[1], [2]])


def test_the_baseline_cuts_where_it_is_quiet() -> None:
    level = np.full(60, -18.0)
    level[10:22] = level[24:30] = level[40:52] = -6.0
    frames = np.repeat(level[:, None], 4, axis=1).astype(np.float32)
    # two steps of quiet are no gap
    assert loud_pieces(frames, 0.4, 0.02) == [(10, 30), (40, 52)]
    assert loud_pieces(frames, 0.2, 0.02)[0][0] in (9, 10)
    assert loud_pieces(np.full((30, 4), -15.0, np.float32), 0.3, 0.02) == []


def test_measures_and_contract_say_what_the_service_needs() -> None:
    torch.manual_seed(0)
    run = run_of()
    model, objective = TASK.begin(run, data())
    metrics = TASK.measure(model, data(), objective) | TASK.baselines(data())
    assert metrics["sequences"] == {"train": 20, "validation": 2, "test": 4}
    assert metrics["test"]["digits"] == sum(map(len, data().test.said))
    found = TASK.contract(run, data(), objective, model, metrics | {"seeds": {"0": 1.0}})
    assert found.outputs.labels == [*"0123456789", "blank"]
    assert found.outputs.per_step
    assert isinstance(found.settings, TranscriptionSettings)
    assert found.settings.blank == BLANK
    assert found.limits.max_length == 1_001  # 20 s
    assert not found.quality.higher_is_better  # type: ignore[union-attr]


def test_answers_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    model, _ = TASK.begin(run_of("birnn"), data())
    together = logits_of(model, data().test)
    alone = logits_of(model, data().test, batch_size=1)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
