"""Requests whose words were seen before are read by a kept plan, and answered the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.answers import WantedOutput
from service.api.plans import MAX_JSON_BYTES, MAX_PLANS, Place, Plan, Plans

FLOAT = np.dtype("<f4")


def plan_of(num_values: int, name: str = "inputs") -> Plan:
    place = Place(name, FLOAT, [1, num_values, 1], num_values, 0)
    return Plan(None, None, 2, None, [WantedOutput("logits", True)], {}, [place], 4 * num_values)


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=60), st.lists(st.floats(width=32, allow_nan=False)))
def test_a_plan_reads_just_what_lies_in_the_body(words: bytes, values: list[float]) -> None:
    plans, array = Plans(), np.array(values, dtype=FLOAT)
    body = words + array.tobytes()
    plans.keep("graph", body, len(words), plan_of(len(values)))
    kept = plans.get("graph", body, len(words))
    assert kept is not None
    found = kept.arrays_of(body, len(words))["inputs"]
    assert found.shape == (1, len(values), 1)
    assert found.tobytes() == array.tobytes()


def test_other_words_other_models_and_other_sizes_are_not_known() -> None:
    plans, body = Plans(), b"words" + b"1234"
    plans.keep("graph", body, 5, plan_of(1))
    assert plans.get("graph", body, 5) is not None
    assert plans.get("other", body, 5) is None
    assert plans.get("graph", b"other1234", 5) is None
    assert plans.get("graph", body + b"more", 5) is None, "bytes left over are refused elsewhere"
    assert plans.get("graph", body[:-1], 5) is None


def test_plans_take_no_more_room_than_they_may() -> None:
    plans = Plans()
    for number in range(3 * MAX_PLANS):
        words = b"%d" % number
        plans.keep("graph", words, len(words), plan_of(0))
    assert len(plans._plans) <= MAX_PLANS
    long = b"x" * (MAX_JSON_BYTES + 1)
    plans.keep("graph", long, len(long), plan_of(0))
    assert plans.get("graph", long, len(long)) is None
