"""Texts by character: their split, n-grams, windows, and the nats of a model."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from training.data.batches import Row
from training.data.texts import characters
from training.data.texts.characters import TRAIN_SHARE, TextSet, load_texts, load_tinyshakespeare
from training.recipe import Recipe
from training.task import Run
from training.tasks.generation.ngrams import ngram_nats
from training.tasks.generation.objective import STRETCHES, TextObjective, nats_per_character
from training.tasks.generation.task import GenerationTask, LanguageModel

TASK = GenerationTask()
SIZES = {
    "lstm": {"hidden_size": 8, "embedding_size": 4},
    "gru": {"hidden_size": 8, "embedding_size": 4, "num_layers": 2},
    "rnn": {"hidden_size": 8, "embedding_size": 4},
    "transformer": {"width": 8, "num_heads": 2, "num_layers": 2, "window": 6, "reach": 2},
}
every_family = pytest.mark.parametrize("family", SIZES)


def made_text(seed: int = 0, size: int = 600) -> TextSet:
    random = np.random.default_rng(seed)
    words = ["to be", "or not", "\n", "that is", "the question"]
    text = " ".join(random.choice(words, size))
    return characters.text_set("made", text[: size * 3], text[size * 3 :], "none", "made")


def make_run(family: str, **fit: object) -> tuple[Run, TextSet]:
    data = made_text()
    recipe = Recipe(
        learning_rate=1e-2, batch_size=4, tbptt_window=16, validation_share=0.1, label_smoothing=0.0
    )
    architecture = TASK.default_architecture(family, data, **SIZES[family])
    return Run("made", "generation", architecture, recipe, 0), data


def test_the_published_split_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "First Citizen:\nBefore we proceed any further, hear me speak.\n" * 5
    path = tmp_path / characters.FILE
    path.write_text(text)
    monkeypatch.setenv("SEQSERVE_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="sha256"):
        load_tinyshakespeare()
    monkeypatch.setattr(characters, "SHA256", sha256(text.encode()).hexdigest())
    data = load_tinyshakespeare()
    both = "".join(data.symbols[token] for token in np.concatenate([data.train, data.test]))
    assert both == text
    assert len(data.train) == int(TRAIN_SHARE * len(text))
    assert data.symbols == sorted(set(text))


def test_a_users_own_files_are_read(tmp_path: Path) -> None:
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    train.write_text("abba abba", encoding="utf-8")
    test.write_text("abé a", encoding="utf-8")
    data = load_texts(train, test)
    assert data.symbols == [" ", "a", "b"]
    assert data.test.tolist() == [1, 2, 1, 0, 1], "what is unknown becomes what is frequent"
    assert data.coverage == 0.8
    test.write_bytes(b"a\xff")
    with pytest.raises(ValueError, match=r"test\.txt, line 1: byte 0xff is not UTF-8"):
        load_texts(train, test)
    test.write_text("a")
    with pytest.raises(ValueError, match="has 1 characters"):
        load_texts(train, test)


def witten_bell(train: str, context: str, symbol: str, symbols: str) -> float:
    """By its definition, one count after the other."""
    shorter = witten_bell(train, context[1:], symbol, symbols) if context else 1 / len(symbols)
    size = len(context)
    followers = Counter(
        train[at + size] for at in range(len(train) - size) if train[at : at + size] == context
    )
    total, kinds = followers.total(), len(followers)
    return (followers[symbol] + kinds * shorter) / (total + kinds) if total else shorter


@settings(max_examples=25, deadline=None)
@given(
    train=st.text("abc", min_size=5, max_size=40),
    test=st.text("abc", min_size=4, max_size=12),
    order=st.integers(1, 4),
)
def test_ngrams_are_those_of_their_definition(train: str, test: str, order: int) -> None:
    symbols = "abc"
    counted, scored_text = (np.array([*map(symbols.index, text)]) for text in (train, test))
    scored = range(order - 1, len(test))
    chances = [witten_bell(train, test[at - order + 1 : at], test[at], symbols) for at in scored]
    expected = -sum(map(math.log, chances)) / len(chances)
    assert ngram_nats(counted, scored_text, len(symbols), order) == pytest.approx(expected)


def windows_of(objective: TextObjective, place: int, steps: int) -> list[tuple[list[int], bool]]:
    examples = [objective.example(Row(9, (0, step, place))) for step in range(steps)]
    return [(text.tolist(), goes_on) for text, goes_on in examples]


def test_rows_read_on_round_the_text() -> None:
    text = np.arange(50)
    objective = TextObjective(text, text, window=8, batch_size=2, reads_on=True)
    assert len(objective.lengths) == 6
    windows = windows_of(objective, place=3, steps=200)
    for (before, _), (after, goes_on) in itertools.pairwise(windows):
        assert after == [(after[0] + place) % 50 for place in range(9)]
        if goes_on:
            assert after[0] == before[-1]
    inputs, targets, _ = objective.collate([objective.example(Row(0, (0, 1, 0)))])
    assert (targets == (inputs + 1) % 50).all()


@pytest.mark.parametrize("place", range(5))
def test_a_row_begins_again_after_its_stretch(place: int) -> None:
    text = np.arange(1_000)
    objective = TextObjective(text, text, window=8, batch_size=5, reads_on=True)
    windows = windows_of(objective, place, steps=600)
    begun = [step for step, (_, goes_on) in enumerate(windows) if not goes_on]
    assert {b - a for a, b in itertools.pairwise(begun)} == {STRETCHES[place % 4]}
    assert len({windows[step][0][0] for step in begun}) > 1


def test_windows_from_anywhere_are_of_the_seed() -> None:
    text = np.arange(50)
    objective = TextObjective(text, text, window=8, batch_size=2, reads_on=False)
    windows = windows_of(objective, place=0, steps=40)
    assert len({text[0] for text, _ in windows}) > 20
    assert windows == windows_of(objective, place=0, steps=40)


def test_reading_on_goes_on_with_the_state() -> None:
    run, data = make_run("lstm")
    model, objective = TASK.begin(run, data)
    texts: list[list[NDArray[np.int64]]] = []
    losses = []
    for step in (3, 4):  # in which the first row's stretch ends
        rows = [objective.example(Row(0, (0, step, place))) for place in range(4)]
        texts.append([text for text, _ in rows])
        assert [goes_on for _, goes_on in rows] == [step == 3, True, True, True]
        losses.append(objective.learn(model, objective.collate(rows), torch.Tensor.backward))
    expected = [
        [nats(model, texts[0][place]) for place in range(4)],
        [nats(model, texts[1][0])]
        + [
            2 * nats(model, np.concatenate([texts[0][place], texts[1][place][1:]]))
            - nats(model, texts[0][place])
            for place in (1, 2, 3)
        ],
    ]
    np.testing.assert_allclose(losses, np.mean(expected, axis=1), rtol=1e-5)


def nats(model: LanguageModel, text: NDArray[np.int64]) -> float:
    """The mean loss of a text's characters but the first, from no state."""
    with torch.no_grad():
        inputs = torch.from_numpy(text)[None, :-1]
        logits = model(inputs, torch.tensor([inputs.shape[1]])).logits[0]
    return float(functional.cross_entropy(logits, torch.from_numpy(text[1:])))


@every_family
def test_nats_are_those_of_every_character_given_all_before(family: str) -> None:
    run, data = make_run(family)
    model, _ = TASK.begin(run, data)
    text = data.test[:300]
    with torch.no_grad():
        whole = torch.from_numpy(text)[None]
        logits = model.eval()(whole[:, :-1], torch.tensor([299])).logits[0]
    expected = float(functional.cross_entropy(logits, whole[0, 1:]))
    assert nats_per_character(model, text) == pytest.approx(expected, rel=1e-5)
    begun = nats_per_character(model, text[1:], begin=int(text[0]))
    assert begun == pytest.approx(expected, rel=1e-5)


@every_family
def test_a_model_learns_and_says_what_its_manifest_must(family: str) -> None:
    torch.manual_seed(0)
    run, data = make_run(family)
    model, objective = TASK.begin(run, data)
    optimizer = torch.optim.AdamW(model.parameters(), lr=run.recipe.learning_rate)
    before = objective.validate(model)
    for step in range(60):
        rows = [objective.example(Row(0, (0, step, place))) for place in range(4)]
        objective.learn(model, objective.collate(rows), torch.Tensor.backward)
        optimizer.step()
        optimizer.zero_grad()
    after = objective.validate(model)
    assert after.score == -after.loss > before.score + 0.5
    metrics = TASK.measure(model, data, objective) | TASK.baselines(data)
    assert metrics["test"]["nats_per_character"] < metrics["baselines"]["1-grams"]
    contract = TASK.contract(run, data, objective, model, {**metrics, "seeds": {"0": 1.0}})
    assert contract.outputs.labels == data.symbols
    assert contract.settings is not None
    served = TASK.rebuild(run.architecture)
    served.load_state_dict(model.state_dict())


def test_what_is_no_size_or_family_is_refused() -> None:
    data = made_text()
    with pytest.raises(ValueError, match="unknown family 'tcn'"):
        TASK.default_architecture("tcn", data)
    with pytest.raises(ValueError, match="unknown sizes of a lstm: depth"):
        TASK.default_architecture("lstm", data, depth=2)
    with pytest.raises(ValueError, match="no data set"):
        TASK.load(dataset="war_and_peace")
