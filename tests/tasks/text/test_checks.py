"""Texts that are refused, and what is said of them."""

from __future__ import annotations

import pytest

from service.errors import InvalidSequenceError
from service.tasks.text.checks import check_text

BAD = {
    "empty": ("", "blank"),
    "blank": (" \n\u00a0\u3000", "blank"),
    "too long": ("x" * 101, "101 characters, the limit is 100"),
    "nul": ("abc\0", "U+0000, at character 3"),
    "escape": ("\x1b[31m", "U+001B, at character 0"),
    "C1": ("a\x85", "U+0085"),
    "half a pair": ("ab\ud83d", "half of a surrogate pair, U+D83D, at character 2"),
}


@pytest.mark.parametrize("which", BAD)
def test_what_is_no_text_is_refused(which: str) -> None:
    text, words = BAD[which]
    with pytest.raises(InvalidSequenceError) as refused:
        check_text(text, "texts[7]", 100)
    assert words in refused.value.message
    assert refused.value.message.startswith("texts[7]")
    assert refused.value.field == "texts[7]"


@pytest.mark.parametrize("text", ["x", "a\tb\r\nc", "😀", "\u200d\ufe0f", "עברית", "x" * 100])
def test_any_other_text_is_taken(text: str) -> None:
    check_text(text, "texts[0]", 100)
