"""The registry: names, defaults, refusals, and one signature for all."""

from __future__ import annotations

import inspect

import pytest
import torch

from models import FAMILIES, Prediction, SequenceModel, architecture_of, build
from tests.models.batches import KINDS, STATEFUL, name_of, pad, random_model, random_sequences

every_family = pytest.mark.parametrize("family", FAMILIES)


def test_the_families_are_the_seven() -> None:
    assert list(FAMILIES) == ["rnn", "lstm", "gru", "birnn", "attention", "transformer", "hybrid"]


@every_family
def test_defaults_build_and_take_a_ragged_batch(family: str) -> None:
    model = build(architecture_of(family, 3, 4)).eval()
    inputs, lengths = pad(random_sequences(0, [5, 2, 1]))
    prediction = model(inputs.float(), lengths)
    assert isinstance(prediction, Prediction)
    assert prediction.logits.shape == (3, 4)
    assert prediction.logits.isfinite().all()


@every_family
def test_settings_replace_defaults(family: str) -> None:
    architecture = architecture_of(family, 3, 4, hidden_size=12, num_layers=4, head="mean")
    assert (architecture.hidden_size, architecture.num_layers) == (12, 4)
    recurrent = build(architecture).encoder
    if family in ("rnn", "lstm", "gru"):
        assert recurrent.state_shapes()["hidden"] == (4, 12)  # type: ignore[operator]


def test_attention_has_no_answer_at_each_step() -> None:
    with pytest.raises(ValueError, match="hybrid attends at each step"):
        architecture_of("attention", 3, 4, head="per_step")


def test_one_signature_for_all() -> None:
    models = {type(build(architecture_of(family, 3, 4))) for family in FAMILIES}
    assert models == {SequenceModel}
    assert list(inspect.signature(SequenceModel.forward).parameters) == [
        "self",
        "inputs",
        "lengths",
        "state",
    ]


def test_an_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown family 'mamba'; there are rnn, lstm"):
        architecture_of("mamba", 3, 4)


def test_unknown_settings_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown settings of an architecture: depth, width"):
        architecture_of("lstm", 3, 4, width=5, depth=2)


@pytest.mark.parametrize(
    ("family", "cell"), [("rnn", "gru"), ("lstm", "rnn_tanh"), ("gru", "lstm"), ("birnn", "qrnn")]
)
def test_a_cell_that_the_family_does_not_run_over_is_refused(family: str, cell: str) -> None:
    with pytest.raises(ValueError, match=f"{family} runs over .*, not {cell}"):
        architecture_of(family, 3, 4, cell=cell)


@pytest.mark.parametrize(
    ("family", "hidden_size", "message"),
    [
        ("transformer", 10, "not a multiple of num_heads"),
        ("transformer", 9, "must be even"),
        ("hybrid", 5, "not a multiple of num_heads"),
    ],
)
def test_a_width_that_heads_or_positions_cannot_share_is_refused(
    family: str, hidden_size: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(architecture_of(family, 3, 4, hidden_size=hidden_size))


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_state_has_the_shapes_that_the_model_declares(kind: dict[str, str]) -> None:
    _, model = random_model(0, kind, num_layers=2, hidden_size=8)
    expected: dict[str, tuple[int, ...]] = {}
    if kind in STATEFUL:
        expected["hidden"] = (2, 8)
        if kind["cell"] == "lstm":
            expected["cell"] = (2, 8)
        if kind["head"] == "mean":
            expected |= {"total": (8,), "count": (1,)}
    assert model.state_shapes() == expected
    final = model(*pad(random_sequences(0, [4, 1, 2]))).state
    for state in (model.initial_state(3), final):
        assert {name: tuple(value.shape) for name, value in state.items()} == {
            name: (3, *shape) for name, shape in expected.items()
        }
        assert all(value.dtype == torch.float64 for value in state.values())


def test_the_same_seed_builds_the_same_model() -> None:
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(build(architecture_of("hybrid", 3, 4)).state_dict())
    same, other = (
        all(torch.equal(models[0][name], second[name]) for name in second) for second in models[1:]
    )
    assert same
    assert not other
