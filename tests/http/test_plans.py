"""Requests whose words were seen before are read by a kept plan, and just as without it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.codec.infer import read_tensors
from service.codec.plans import MAX_PLANS, MAX_WORDS_BYTES, Place, Plan, Plans, WantedOutput
from service.codec.plans import words_of as known_words_of
from service.errors import ServiceError
from tests.fakes import make_manifest

FLOAT = np.dtype("<f4")
MANIFEST = make_manifest()


def words_of(body: bytes, length: int) -> Any:
    words = known_words_of(body, length)
    assert words is not None
    return words


def plan_of(num_values: int, name: str = "inputs") -> Plan:
    place = Place(name, FLOAT, [1, num_values, 1], num_values, 0)
    return Plan(None, None, 2, None, [WantedOutput("logits", True)], {}, [place], 4 * num_values)


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=60), st.lists(st.floats(width=32), min_size=1))
def test_a_plan_reads_just_what_lies_in_the_body(words: bytes, values: list[float]) -> None:
    plans, array = Plans(), np.array(values, dtype=FLOAT)
    body = words + array.tobytes()
    found = words_of(body, len(words))
    plans.keep(MANIFEST, found, plan_of(len(values)))
    kept = plans.get(MANIFEST, found)
    assert kept is not None
    arrays = kept.arrays_of(body, found)
    assert arrays is not None
    assert arrays["inputs"].shape == (1, len(values), 1)
    assert arrays["inputs"].tobytes() == array.tobytes()


def test_other_words_other_models_and_other_sizes_are_not_known() -> None:
    plans, body = Plans(), b"words" + b"1234"
    words = words_of(body, 5)
    plans.keep(MANIFEST, words, plan_of(1))
    assert plans.get(MANIFEST, words) is not None
    assert plans.get(make_manifest(name="other"), words) is None
    assert plans.get(MANIFEST, words_of(b"other1234", 5)) is None
    for wrong in (body + b"more", body[:-1]):
        kept = plans.get(MANIFEST, words_of(wrong, 5))
        assert kept is not None
        assert kept.arrays_of(wrong, words_of(wrong, 5)) is None, "refused elsewhere"


def test_plans_take_no_more_room_than_they_may() -> None:
    plans = Plans()
    for number in range(3 * MAX_PLANS):
        plans.keep(MANIFEST, words_of(b"%d|blob" % number, len(b"%d|" % number)), plan_of(1))
    assert len(plans._plans) <= MAX_PLANS
    long = b"x" * (MAX_WORDS_BYTES + 1)
    assert known_words_of(long + b"blob", len(long)) is None
    assert known_words_of(b'{"data":[1],"id":"' + long + b'"}', 2 * len(long)) is None


numbers = st.one_of(
    st.floats(width=32), st.integers(-5, 5), st.sampled_from([1e39, 5e-324, 2**70, "1", None, [1]])
)
values = st.lists(numbers, max_size=9)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """One of a few ways to say a request, with any numbers in it."""
    inputs: dict[str, Any] = {
        "name": "inputs",
        "shape": [1, draw(st.integers(1, 4)), 2],
        "datatype": "FP32",
        "data": draw(values),
    }
    if draw(st.booleans()):  # as many as there should be
        good = st.floats(-9, 9) | st.integers(-9, 9)
        size = 2 * inputs["shape"][1]
        inputs["data"] = draw(st.lists(good, min_size=size, max_size=size))
    if draw(st.integers(0, 3)) == 0:
        pairs = inputs["data"]
        inputs["data"] = [[pairs[start : start + 2] for start in range(0, len(pairs), 2)]]
    lengths: dict[str, Any] = {"name": "lengths", "shape": [1], "datatype": "INT64", "data": [1]}
    tensors = draw(st.sampled_from([[inputs], [inputs, lengths], [lengths, inputs]]))
    body: dict[str, Any] = {"inputs": tensors}
    if draw(st.booleans()):
        body = {"id": draw(st.sampled_from(["a", '"data":[1]', "]"])), **body}
    if draw(st.integers(0, 5)) == 0:
        body = {"x": {"data": draw(values)}, **body}
    if draw(st.integers(0, 5)) == 0:
        lengths |= {"shape": [0], "parameters": {"binary_data_size": 0}}
        del lengths["data"]
    if draw(st.booleans()):
        body["outputs"] = [{"name": "logits", "parameters": {"binary_data": draw(st.booleans())}}]
    text = json.dumps(body, separators=draw(st.sampled_from([(",", ":"), (", ", ": ")])))
    if draw(st.integers(0, 5)) == 0:  # the same name again
        text = text.replace('"shape"', '"data":[7,7],"shape"', 1)
    return text.encode()


def outcome(body: bytes, plans: Plans) -> Any:
    try:
        plan, arrays = read_tensors(body, len(body), MANIFEST, plans)
    except ServiceError as error:
        return error.message, error.field
    found = {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}
    return plan._replace(arrays={}, places=[]), found


@settings(max_examples=300, deadline=None)
@given(st.lists(documents(), min_size=1, max_size=12))
@example([b'{"inputs":[{"name":"inputs","shape":[1,1,2],"datatype":"FP32","data":[1,2]}]}'] * 2)
def test_json_is_read_by_a_plan_as_it_is_without(bodies: list[bytes]) -> None:
    plans = Plans()
    for body in [*bodies, *bodies]:
        assert outcome(body, plans) == outcome(body, Plans())


def test_json_with_other_numbers_is_known() -> None:
    plans = Plans()
    body = b'{"inputs":[{"name":"inputs","shape":[1,1,2],"datatype":"FP32","data":[1,2]}]}'
    read_tensors(body, len(body), MANIFEST, plans)
    (kept,) = plans._plans.values()
    other = body.replace(b"[1,2]", b"[-3.5, 4e2 ]")
    _, arrays = read_tensors(other, len(other), MANIFEST, plans)
    assert arrays["inputs"].tolist() == [[[-3.5, 400.0]]]
    assert list(plans._plans.values()) == [kept]
