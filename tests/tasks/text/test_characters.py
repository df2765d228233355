"""Characters of a text and the groups that end with each, against Python's own integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.text.characters import CharacterVocabulary, characters_of, hashes
from service.tasks.text.vocabulary import Vocabulary

CHARACTERS = Vocabulary(list("abc "))


def expected_hash(group: str) -> int:
    value = 0
    for character in group:
        value = value * 1_000_003 + ord(character)
    return (value * 0x9E3779B97F4A7C15 % 2**64) >> 32


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.integers(1, 4))
def test_a_group_is_hashed_by_its_characters_alone(text: str, size: int) -> None:
    padded = " " * (size - 1) + text
    expected = [expected_hash(padded[start : start + size]) for start in range(len(text))]
    assert hashes(text, size).tolist() == expected


def test_a_step_is_a_character_and_the_groups_that_end_with_it() -> None:
    vocabulary = CharacterVocabulary(CHARACTERS, [100, 1_000])
    assert vocabulary.tokens() == [6, 100, 1_000]
    packed = vocabulary.pack("ab?")
    assert packed[:, 0].tolist() == [2, 3, 1]
    assert packed[:, 1].tolist() == [1 + expected_hash(g) % 99 for g in (" a", "ab", "b?")]
    assert packed[:, 2].tolist() == [1 + expected_hash(g) % 999 for g in ("  a", " ab", "ab?")]
    alone = CharacterVocabulary(CHARACTERS)
    assert alone.tokens() == [6]
    assert alone.pack("ab?").tolist() == [2, 3, 1]


@given(st.text(min_size=1), st.lists(st.integers(2, 50), max_size=3))
def test_every_id_is_within_its_table(text: str, buckets: list[int]) -> None:
    text = characters_of(text).encode(errors="ignore").decode() or "x"
    vocabulary = CharacterVocabulary(CHARACTERS, buckets)
    packed = vocabulary.pack(text).reshape(len(text), -1)
    assert packed.dtype == np.int64
    assert (packed >= 1).all()
    assert (packed < vocabulary.tokens()).all()


def test_white_space_and_ways_to_write_a_letter_do_not_matter() -> None:
    assert characters_of(" e\u0301\t\nx\u00a0 y ") == "\u00e9 x y"
