"""Texts to units and numbers, and back."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.translation.interpreter import Interpreter
from service.tasks.translation.settings import Writing
from service.tasks.translation.units import JOINER, Units, join, normalise, split
from service.tasks.translation.vocabulary import END, SPECIAL, UNKNOWN, Vocabulary

KINDS: tuple[Units, ...] = ("characters", "symbols", "words")
TEXTS = st.text(max_size=40) | st.text(" a1é'-.,()/«»l", max_size=30)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("l'éditeur (libre)", [f"l'{JOINER}", "éditeur", f"({JOINER}", "libre", f"{JOINER})"]),
        ("C++ for a.b", ["C", f"{JOINER}+{JOINER}", "+", "for", "a", f"{JOINER}.{JOINER}", "b"]),
        ("a -- b", ["a", f"-{JOINER}", "-", "b"]),
        ("don't", ["don", f"{JOINER}'{JOINER}", "t"]),
        ("Qu'il", [f"Qu'{JOINER}", "il"]),
    ],
)
def test_words_and_marks_are_parted(text: str, units: list[str]) -> None:
    assert split(text, "words") == units
    assert join(units, "words") == text


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS)
def test_the_way_back_is_exact(kind: Units, text: str) -> None:
    normal = normalise(text, kind)
    assert join(split(normal, kind), kind) == normal
    assert normalise(normal, kind) == normal
    assert "" not in split(normal, kind)


@given(text=TEXTS)
def test_one_form_of_what_can_be_written_in_several(text: str) -> None:
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, f"  {text}\t\n")
        assert normalise(other, "characters") == normalise(text, "characters")


@given(texts=st.lists(st.lists(st.sampled_from("abcde"), max_size=5), max_size=6))
def test_a_vocabulary_survives_its_file(texts: list[list[str]]) -> None:
    vocabulary = Vocabulary.learn(texts)
    again = Vocabulary.from_bytes(vocabulary.to_bytes())
    assert again.units == vocabulary.units
    for text in texts:
        assert again.decode(vocabulary.encode(text).tolist()) == text


def test_the_commonest_units_are_learnt_in_one_order() -> None:
    texts = [["b", "a", "c"], ["a", "b"], ["<end>"]]
    assert Vocabulary.learn(texts).units == [*SPECIAL, "a", "b", "c"]
    assert Vocabulary.learn(texts, max_size=5).units == [*SPECIAL, "a"]
    assert Vocabulary.learn(texts, min_count=2).units == [*SPECIAL, "a", "b"]
    assert Vocabulary.learn(texts, max_size=0).units == [*SPECIAL]


def test_what_spells_a_special_unit_is_not_one() -> None:
    vocabulary = Vocabulary.learn([["a"]])
    assert vocabulary.encode(["<end>", "a", "b"]).tolist() == [UNKNOWN, 4, UNKNOWN]
    assert END not in vocabulary.encode(["<end>"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a\nb\n", "begins with"),
        (b"", "begins with"),
        (b"<padding>\n<begin>\n<end>\n<unknown>\na\na\n", "twice"),
        (b"\xff", "utf-8"),
    ],
)
def test_another_file_is_no_vocabulary(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Vocabulary.from_bytes(content)


def interpreter(**writing: str | bool) -> Interpreter:
    kinds = {"source_units": "words", "target_units": "words", **writing}
    source, target = Vocabulary.learn([["a", "b"]]), Vocabulary.learn([["x", f"l'{JOINER}"]])
    return Interpreter(Writing.model_validate(kinds), source, target)


def test_an_unknown_unit_copies_what_was_looked_at() -> None:
    copying = interpreter(unknown="copy")
    source = copying.read("a Foo (b")
    assert source.unknown == ["Foo", f"({JOINER}"]
    attention = np.array([[0.9, 0.1, 0, 0], [0.1, 0.7, 0.1, 0.1], [0, 0, 1, 0]], dtype=np.float32)
    numbers = copying.target.encode(["x", "?", "?"]).tolist()
    units = copying.write(numbers, attention, source)
    assert units == ["x", "Foo", f"({JOINER}"]
    assert copying.text(units) == "x Foo ("


def test_what_is_refused_is_never_written() -> None:
    assert UNKNOWN in interpreter(unknown="refuse").forbidden
    assert UNKNOWN not in interpreter(unknown="copy").forbidden


def test_sources_are_lowered_where_the_model_was_so_taught() -> None:
    assert interpreter(lowercase=True).source_units("A É") == ["a", "é"]
    assert interpreter().source_units("A É") == ["A", "É"]
