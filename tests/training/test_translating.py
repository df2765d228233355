"""Learning to translate, the search of training, and the scores."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decoders.translator import Past, RecurrentTranslator, Translator
from service.decoding.prompt import Beam
from service.tasks.translation.settings import TranslationSettings
from service.tasks.translation.vocabulary import BEGIN, END, PADDING, UNKNOWN
from tests.models.test_translators import KINDS, random_translator
from training.data.batches import Row
from training.data.pairs.pairs import Pair, write_table
from training.fit.loop import Trainer, make_accelerator
from training.recipe import Recipe
from training.task import Run
from training.tasks.translation.objective import Example, TranslationObjective, pad, translate
from training.tasks.translation.scores import scores, symbol_error_rate
from training.tasks.translation.task import TranslationTask

torch.set_num_threads(1)  # these matrices are too small to share

FORBIDDEN = (PADDING, BEGIN, UNKNOWN)


def likeliest(model: Translator, source: list[int], max_tokens: int) -> list[int]:
    """Token by token, without any search."""
    inputs, lengths = torch.tensor([source]), torch.tensor([len(source)])
    encoded = model.encode(inputs, lengths)
    written = [BEGIN]
    while len(written) <= max_tokens:
        past: Past = model.start(encoded)
        read = torch.tensor([written])
        decoded = model.decode(read, torch.tensor([len(written)]), past, encoded.memory, lengths)
        logits = decoded.logits[0, -1].detach().numpy().copy()
        logits[list(FORBIDDEN)] = -np.inf
        written.append(int(logits.argmax()))
        if written[-1] == END:
            break
    return [token for token in written[1:] if token != END]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 99), sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_a_beam_of_one_takes_the_likeliest_token_each_time(
    kind: str, seed: int, sizes: list[int]
) -> None:
    model = random_translator(kind, seed)
    random = np.random.default_rng(seed)
    sources = [random.integers(0, model.num_source_tokens, size) for size in sizes]
    found = translate(model, sources, Beam(1, 6), FORBIDDEN)
    for source, made in zip(sources, found, strict=True):
        assert made.tokens.tolist() == likeliest(model, source.tolist(), 6)
        assert made.attention is not None or not len(made.tokens)


def test_a_wide_beam_finds_what_is_likeliest_of_all() -> None:
    model = random_translator("gru", 3)
    source, most = np.array([2, 5, 4]), 2
    found = translate(model, [source], Beam(16, most, length_penalty=0.0), FORBIDDEN)[0]
    ordinary = [t for t in range(model.num_target_tokens) if t not in (*FORBIDDEN, END)]
    every = [
        list(tokens)
        for size in range(most + 1)
        for tokens in itertools.product(ordinary, repeat=size)
    ]
    best = max(every, key=lambda tokens: _logprob(model, source, tokens, most))
    assert found.tokens.tolist() == best
    assert found.score == pytest.approx(_logprob(model, source, best, most))


def _logprob(model: Translator, source: np.ndarray, tokens: list[int], most: int) -> float:
    """Of tokens and, where there is room for it, the end; forbidden ones have no share."""
    wanted = [*tokens, END][:most]
    read, lengths = pad([np.array([BEGIN, *wanted[:-1]])])
    logits = model(*pad([source]), read, lengths)[0].detach()
    logits[:, list(FORBIDDEN)] = -torch.inf
    logprobs = torch.log_softmax(logits, dim=1)
    return float(logprobs[torch.arange(len(wanted)), torch.tensor(wanted)].sum())


def test_a_batch_has_targets_as_read_and_as_asked_for() -> None:
    learnt = [Example(np.array([4, 5]), np.array([6])), Example(np.array([7]), np.array([8, 9]))]
    objective = TranslationObjective(learnt, [], 0.0, lambda model: 0.0)
    rows = [Row(index, (0, 0, index)) for index in range(2)]
    sources, lengths, read, asked = objective.collate([objective.example(row) for row in rows])
    assert sources.tolist() == [[4, 5], [7, PADDING]]
    assert lengths.tolist() == [2, 1]
    assert read.tolist() == [[BEGIN, 6, PADDING], [BEGIN, 8, 9]]
    assert asked.tolist() == [[6, END, PADDING], [8, 9, END]]
    assert objective.lengths[0] > objective.lengths[1]


def test_neighbours_do_not_move_the_loss() -> None:
    torch.manual_seed(0)
    model = RecurrentTranslator(10, 10, embedding_size=6, hidden_size=8, dropout=0.0)
    random = np.random.default_rng(0)
    learnt = [
        Example(random.integers(4, 10, size), random.integers(4, 10, size)) for size in (1, 4, 2)
    ]
    objective = TranslationObjective(learnt, learnt, 0.0, lambda model: 0.0)
    losses: list[float] = []
    for part in (learnt, *([each] for each in learnt)):
        losses.append(objective.learn(model, objective.collate(part), lambda loss: None))
    tokens = [len(each.target) + 1 for each in learnt]
    assert losses[0] == pytest.approx(np.average(losses[1:], weights=tokens), rel=1e-5)


def test_scores_take_the_nearest_reference() -> None:
    texts, references = ["A B", "C"], [("A", "A B"), ("C D E",)]
    assert scores("exact_match", texts, references) == {"exact_match": 0.5}
    assert symbol_error_rate(texts, references) == pytest.approx(2 / 5)
    assert scores("word_error_rate", texts, references)["word_error_rate"] == 0.5
    same = scores("bleu", ["one two three four"], [("other", "one two three four")])
    assert same == pytest.approx({"bleu": 100.0, "chrf": 100.0})


def test_reversing_is_learnt_from_tables(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    drawn = {"".join(random.choice(list("ab"), random.integers(1, 4))) for _ in range(200)}
    made = [Pair(word, (word[::-1],)) for word in sorted(drawn)]
    for name in ("train", "valid", "test"):
        write_table(tmp_path / name, made)
    task = TranslationTask()
    files: dict[str, Any] = {name: str(tmp_path / name) for name in ("train", "valid", "test")}
    data = task.load(**files, source_units="characters", target_units="characters")
    sizes = {"embedding_size": 16, "hidden_size": 32, "dropout": 0.0}
    run = Run(
        "reverse",
        "translation",
        task.default_architecture("gru", data, **sizes),
        Recipe(2e-2, steps=60, batch_size=14, evaluate_every=30),
        seed=0,
    )
    torch.manual_seed(0)
    model, objective = task.begin(run, data)
    trainer = Trainer(make_accelerator(), model, objective, run.recipe, 0, tmp_path / "run")
    trainer.fit(lambda progress, loss: None)
    assert isinstance(model, Translator)
    measured = task.measure(model, data, objective) | task.baselines(data)
    assert measured["test"]["exact_match"] > 0.9
    assert measured["baselines"] == {"copy of the source": pytest.approx(_palindromes(made))}
    contract = task.contract(run, data, objective, model, {**measured, "seeds": {}})
    assert isinstance(contract.settings, TranslationSettings)
    assert contract.settings.memory_width == model.memory_width
    assert contract.inputs.tokens == [len(data.interpreter.source)]


def _palindromes(pairs: list[Pair]) -> float:
    return sum(pair.source in pair.targets for pair in pairs) / len(pairs)


def test_a_recipe_names_what_is_wrong() -> None:
    task = TranslationTask()
    with pytest.raises(ValueError, match="no metric 'accuracy'"):
        task.load("dates", metric="accuracy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no data set 'wmt'; there are cmudict"):
        task.load("wmt")
