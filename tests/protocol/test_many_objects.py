"""How many arrays, objects and strings JSON has is found without making them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.codec import bodies

documents = st.recursive(
    st.none() | st.integers(-9, 9) | st.text('ab\\"[{ü', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('\\"{a'), inner, max_size=4)
    ),
    max_leaves=20,
)


def num_objects(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(1 + num_objects(inner) for inner in value.values())
    if isinstance(value, list):
        return 1 + sum(map(num_objects, value))
    return int(isinstance(value, str))


@given(documents)
def test_counted_as_they_are(document: Any) -> None:
    """Refused from one fewer allowed on; never when they are just as many."""
    count = num_objects(document)
    body = json.dumps(document, ensure_ascii=False).encode() + b" " * 64
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "MAX_OBJECTS", count)
        assert not bodies.has_too_many_objects(body)
        if count:
            patch.setattr(bodies, "MAX_OBJECTS", count - 1)
            assert bodies.has_too_many_objects(body)
