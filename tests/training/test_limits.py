"""What a model was trained and scored on it takes when it is served, however long that was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.tagging.settings import TaggingSettings
from service.tasks.translation.settings import TranslationSettings
from training.data.limits import longest_accepted
from training.recipe_file import RecipeFile
from training.task import Contract
from training.tasks import TASKS

SCORED: dict[str, Any] = {
    "metric": "accuracy",
    "higher_is_better": True,
    "test": {"accuracy": 0.5},
    "baselines": {},
    "sequences": {"test": 1},
    "seeds": {"0": 0.5},
    "beam": 1,
}
LENGTHS = st.lists(st.integers(1, 9_999), min_size=1)


def contract_of(folder: Path, task: str, parts: dict[str, str], **data: Any) -> Contract:
    """What a bundle would say of a model of these files, which has learnt nothing yet."""
    for part, content in parts.items():
        (folder / part).write_text(content)
    files = {part: str(folder / part) for part in parts}
    recipe = RecipeFile(
        name="long",
        task=task,
        family="gru",
        data=files | data,
        architecture={"hidden_size": 8},
    )
    loaded = recipe.load()
    run = recipe.run(loaded, 0)
    known = TASKS[recipe.task]
    model, objective = known.begin(run, loaded)
    contract: Contract = known.contract(run, loaded, objective, model, SCORED)
    return contract


@pytest.mark.parametrize(
    ("learnt", "scored", "limit"), [(44, 60, 1_000), (1_300, 60, 5_200), (44, 7_000, 7_000)]
)
def test_texts_as_long_as_the_datas_are_taken(
    tmp_path: Path, learnt: int, scored: int, limit: int
) -> None:
    short = "ab\tx\nba\ty\n" * 5
    parts = {"train": f"{'a' * learnt}\tx\n{short}", "valid": short, "test": f"{'b' * scored}\ty\n"}
    assert contract_of(tmp_path, "text_classification", parts).limits.max_length == limit


@pytest.mark.parametrize(
    ("words", "letters", "limit", "characters"),
    [(10, 5, 256, 10_000), (100, 5, 400, 10_000), (300, 50, 1_200, 4 * (300 * 51 - 1))],
)
def test_sentences_as_long_as_the_datas_are_taken(
    tmp_path: Path, words: int, letters: int, limit: int, characters: int
) -> None:
    short = "a\tX\nb\tY\n\n"
    parts = {"train": f"{'a' * letters}\tX\n" * words + "\n" + short, "valid": short, "test": short}
    contract = contract_of(tmp_path, "tagging", parts)
    assert isinstance(contract.settings, TaggingSettings)
    assert (contract.limits.max_length, contract.settings.max_characters) == (limit, characters)


def test_pairs_as_long_as_the_datas_are_taken(tmp_path: Path) -> None:
    parts = {"train": "ab\tab\n" * 9, "valid": "ab\tab\n", "test": "aaaaa\tbbbbbbb\n"}
    contract = contract_of(
        tmp_path, "translation", parts, source_units="characters", target_units="characters"
    )
    assert contract.limits.max_length == 5
    assert isinstance(contract.settings, TranslationSettings)
    assert contract.settings.max_tokens == 8


@given(LENGTHS, LENGTHS, st.integers(1, 9_999))
def test_all_that_was_scored_is_taken(learnt: list[int], others: list[int], least: int) -> None:
    limit = longest_accepted(learnt, others, least)
    assert limit >= max(*learnt, *others, least)
    assert limit >= 4 * max(learnt)
