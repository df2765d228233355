"""Words of a text: what counts as one, and places that lead back into the caller's own text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.text.words import forms_of, words_of
from training.data.texts.conll import read_conll

SAMPLE = Path(__file__).parents[2] / "data" / "brown_news_test.conll"

KNOWN = {"Mr.", "Jr.", "No.", "years'"}

PARTED = {
    "The jury said it did.": ["The", "jury", "said", "it", "did", "."],
    "Mr. Smith Jr. left": ["Mr.", "Smith", "Jr.", "left"],
    "I said No.": ["I", "said", "No", "."],
    "the U.S. and e.g. this": ["the", "U.S.", "and", "e.g.", "this"],
    "don't, well-to-do and/or AT&T": ["don't", ",", "well-to-do", "and/or", "AT&T"],
    "$10,000 or 3.5% (2-1/2)": ["$10,000", "or", "3.5%", "(", "2-1/2", ")"],
    "on the 20th, 1961-62": ["on", "the", "20th", ",", "1961-62"],
    '"Yes..." -- no!?': ['"', "Yes", "...", '"', "--", "no", "!", "?"],
    "naïve e\u0301lan नमस्ते": ["naïve", "e\u0301lan", "नमस्ते"],
    "a😀👍🏽b": ["a", "😀", "👍", "🏽", "b"],
    "❤\ufe0f x": ["❤\ufe0f", "x"],
    "日本語": ["日本語"],
    "cats' tail": ["cats", "'", "tail"],
    "two years' time": ["two", "years'", "time"],
    "  \n ": [],
}


@pytest.mark.parametrize("text", PARTED)
def test_what_counts_as_a_word(text: str) -> None:
    words = words_of(text, KNOWN.__contains__)
    assert [word.text for word in words] == PARTED[text]


def test_forms_are_those_of_the_training_texts() -> None:
    text = '"Yes," (\u201cno\u201d) \u2013 e\u0301 he\u2019s "so"'
    forms = [word.form for word in words_of(text)]
    assert forms == [
        "``",
        "Yes",
        ",",
        "''",
        "(",
        "``",
        "no",
        "''",
        ")",
        "--",
        "é",
        "he's",
        "``",
        "so",
        "''",
    ]


def test_a_parted_word_has_the_form_of_one_after_a_space() -> None:
    assert forms_of(["Smith\u2019s", "…", "e\u0301"]) == ["Smith's", "...", "é"]


def test_every_other_straight_quote_of_parted_words_closes() -> None:
    words = ['"', "Yes", '"', "and", '"', "no", '"']
    assert forms_of(words) == ["``", "Yes", "''", "and", "``", "no", "''"]
    assert forms_of(words) == [word.form for word in words_of('"Yes" and "no"')]


@pytest.mark.parametrize(
    "word", ["\u0645\u06cc\u200c\u062e\u0648", "Donau\u00addampfer", "क्\u200dष", "a\u2060b"]
)
def test_what_joins_within_a_word_does_not_part_it(word: str) -> None:
    assert [found.form for found in words_of(f"{word} {word}.")] == [*forms_of([word, word]), "."]


TEXTS = st.text() | st.text("ab.'\u2019\"\u201c-\u20131,$% \u0301\u200c\u200d\u00ad😀", max_size=30)


@given(TEXTS, st.booleans())
def test_places_lead_back_into_the_text_and_miss_nothing(text: str, known: bool) -> None:
    words = words_of(text, lambda form: known)
    end = 0
    for word in words:
        assert text[word.start : word.end] == word.text != ""
        assert word.start >= end
        assert not text[end : word.start].strip()
        end = word.end
    assert not text[end:].strip()


@given(st.text("ab. '1-", max_size=20), st.text("ab. '1-", max_size=20))
def test_what_white_space_parts_is_parted_alike_alone(left: str, right: str) -> None:
    together = [word.text for word in words_of(f"{left} {right}")]
    alone = [word.text for part in (left, right) for word in words_of(part)]
    assert together == alone


def test_the_words_of_a_corpus_come_back_from_its_sentences() -> None:
    sentences = read_conll(SAMPLE)
    known = {word for sentence in sentences for word in sentence.words}
    same = 0
    for sentence in sentences:
        text = " ".join(sentence.words).replace("`` ", '"').replace(" ''", '"')
        forms = [word.form for word in words_of(text, known.__contains__)]
        same += forms == sentence.words
    assert same / len(sentences) > 0.97
