"""Where texts stop, and which characters they have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BundleError, InvalidSequenceError
from service.tasks.generation.stops import Stops
from service.tasks.generation.vocabulary import Vocabulary

SYMBOLS = ["\n", "a", "b", "c"]
texts = st.text("abc", max_size=30)
stop_lists = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3)


def ended(text: str, stops: list[str]) -> tuple[str, bool]:
    """By definition: the shortest beginning that ends with a stop, without the longest such."""
    for end in range(len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - max(map(len, found))], True
    return text, False


@given(text=texts, stops=stop_lists, data=st.data())
def test_however_a_text_comes_it_ends_before_its_stop(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    found, told, rest = Stops(stops), "", text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        told += found.push(rest[:size])
        assert ended(text, stops)[0].startswith(told), "nothing is told that may yet be cut"
        rest = rest[size:]
    expected, is_stopped = ended(text, stops)
    assert found.is_stopped == is_stopped
    assert told + found.flush() == expected


def test_what_can_be_told_is_told_at_once() -> None:
    found = Stops(["aab"])
    assert [found.push(character) for character in "aaacaab"] == ["", "", "a", "aac", "", "", ""]
    assert found.is_stopped
    assert Stops([]).push("aab") == "aab"


@given(st.text("abc\n", max_size=20))
def test_a_text_of_known_characters_comes_back(text: str) -> None:
    vocabulary = Vocabulary(SYMBOLS, "\n", None)
    encoded = vocabulary.encode(text, "prompts")
    assert vocabulary.decode(encoded.tokens) == text
    assert encoded.num_unknown == 0


def test_unknown_characters_are_replaced_and_counted_or_refused() -> None:
    encoded = Vocabulary(SYMBOLS, "\n", "b").encode("aéc😀", "prompts")
    assert encoded.tokens.tolist() == [1, 2, 3, 2]
    assert encoded.num_unknown == 2
    with pytest.raises(InvalidSequenceError, match=r"prompts\[3\] has 'é' at 1") as refused:
        Vocabulary(SYMBOLS, "\n", None).encode("aéc", "prompts[3]")
    assert refused.value.field == "prompts[3]"


@pytest.mark.parametrize("declared", [("x", None), ("\n", "x")])
def test_declared_characters_must_be_known(declared: tuple[str, str | None]) -> None:
    with pytest.raises(BundleError, match="'x' is none of"):
        Vocabulary(SYMBOLS, *declared)
