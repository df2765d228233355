"""Ids of words and characters: packed into one step, and what is unknown."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.text.vocabulary import UNKNOWN, Vocabulary, WordVocabulary, folded

WORDS = WordVocabulary(Vocabulary(["the", "jury", "0000"]), Vocabulary(list("Tehjury19")), 4)


def test_a_step_is_a_words_id_and_those_of_its_characters() -> None:
    packed = WORDS.pack(["The", "jury", "1961", "they", "thirty-one"])
    assert packed.dtype == np.int64
    assert packed.tolist() == [
        [2, 2, 4, 3, 0],  # in small letters for the word, as they are for its characters
        [3, 5, 6, 7, 8],
        [4, 9, 10, 1, 9],  # digits are alike for the word
        [1, 1, 4, 3, 8],
        [1, 1, 4, 1, 3],  # t h ... n e
    ]
    assert WORDS.tokens() == [5, 11, 11, 11, 11]
    assert [WORDS.is_known(form) for form in ("THE", "1961", "they")] == [True, True, False]


def test_folding_keeps_neither_case_nor_number() -> None:
    assert folded("U.S.-1961") == "u.s.-0000"


ENTRIES = st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])))


@given(ENTRIES.map(lambda entries: list(dict.fromkeys(entries))))
def test_a_vocabulary_comes_back_from_its_file(entries: list[str]) -> None:
    vocabulary = Vocabulary.from_bytes(Vocabulary(entries).to_bytes())
    assert vocabulary.entries == entries
    assert vocabulary.ids(entries) == list(range(2, len(vocabulary)))


@given(st.lists(st.text(max_size=12), min_size=1), st.integers(1, 7))
def test_every_id_is_within_its_table(forms: list[str], num_characters: int) -> None:
    vocabulary = WordVocabulary(Vocabulary(["a"]), Vocabulary(["a", "b"]), num_characters)
    packed = vocabulary.pack(forms)
    assert packed.shape == (len(forms), 1 + num_characters)
    assert (packed >= 0).all()
    assert (packed < vocabulary.tokens()).all()
    for step, form in zip(packed, forms, strict=True):
        assert np.count_nonzero(step[1:]) == min(len(form), num_characters)
        assert (step[0] == UNKNOWN) == (form not in ("a", "A"))
