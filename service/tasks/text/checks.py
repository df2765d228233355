"""What a text must be before a task reads it."""

from __future__ import annotations

import unicodedata

from service.errors import InvalidSequenceError

ALLOWED_CONTROLS = "\t\n\r"


def check_text(text: str, field: str, max_characters: int) -> None:
    """Refuse what is no text to answer about.

    Args:
        text: A caller's.
        field: Where it stands in the request, such as `texts[2]`.
        max_characters: The most code points that it may have.
    Raises:
        InvalidSequenceError: It is blank, too long, or holds control characters or half of a
            surrogate pair.
    """
    if len(text) > max_characters:
        raise InvalidSequenceError(
            f"{field} has {len(text)} characters, the limit is {max_characters}", field
        )
    if not text or text.isspace():
        raise InvalidSequenceError(f"{field} is blank: there is nothing to answer about", field)
    if text.isprintable():
        return
    for place, character in enumerate(text):
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and character not in ALLOWED_CONTROLS):
            kind = "half of a surrogate pair" if category == "Cs" else "a control character"
            raise InvalidSequenceError(
                f"{field} has {kind}, U+{ord(character):04X}, at character {place}", field
            )


def texts_of(texts: str | list[str]) -> list[tuple[str, str]]:
    """Each text of a request's field `texts`, after where it stands there."""
    several = [texts] if isinstance(texts, str) else texts
    return [(f"texts[{row}]", text) for row, text in enumerate(several)]
