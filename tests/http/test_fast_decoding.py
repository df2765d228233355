"""JSON read straight to arrays gives just what the slow decoder gives, or leaves it to that one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.codec import infer
from service.codec.binary import Blobs
from service.codec.bodies import decode_json
from service.codec.simd import read_infer
from service.codec.tensors import sequence_array, tensor_array
from service.errors import ServiceError
from service.tasks.classification.task import Classification

numbers = st.one_of(
    st.floats(width=32),
    st.floats(),  # NaN and Infinity as Python writes them
    st.integers(-10, 10),
    st.integers(),
    st.sampled_from([-0.0, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 10**400, 1e39, 1e-50, True, None]),
)
finite = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**60), 2**60))
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4)
anything = st.recursive(
    st.one_of(numbers, st.text(max_size=4), st.sampled_from(["[", "\ud800"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly right: flat or nested data of a shape, now and then something else in its place."""
    shape = draw(shapes)
    values = draw(st.one_of(finite, st.lists(finite, min_size=1)))
    pool = values if isinstance(values, list) else [values]
    array = np.resize(np.array(pool, dtype=object), shape)
    tensor = {
        "name": draw(st.sampled_from(["inputs", "lengths", "a[b"])),
        "shape": shape,
        "datatype": draw(st.sampled_from(["FP32", "FP32", "INT64", "FP64", ""])),
        "data": (array.ravel() if draw(st.booleans()) else array).tolist(),
    }
    if draw(st.booleans()):
        tensor["parameters"] = draw(st.one_of(st.just({"a": 1, "b": "x"}), anything))
    if draw(st.integers(0, 3)) == 0:
        tensor[draw(st.sampled_from([*tensor, "other"]))] = draw(anything)
    return tensor


infers = st.fixed_dictionaries(
    {"inputs": st.lists(tensors(), min_size=1, max_size=2)},
    optional={
        "id": st.one_of(st.text(max_size=5), st.none(), anything),
        "outputs": st.one_of(
            st.none(), st.just([{"name": "x", "parameters": {"binary_data": True}}]), anything
        ),
        "parameters": st.one_of(st.just({"timeout": 5}), anything),
        "more": anything,
    },
)
matrices = st.tuples(st.integers(1, 4), st.integers(1, 3), st.lists(finite, min_size=1)).map(
    lambda drawn: np.resize(np.array(drawn[2], dtype=object), drawn[:2]).tolist()
)
ragged = st.lists(st.lists(numbers, max_size=3), max_size=3)
predicts = st.fixed_dictionaries(
    {"sequences": st.lists(st.one_of(matrices, matrices, ragged, anything), max_size=3)},
    optional={
        "top_k": st.one_of(st.integers(1, 5), anything),
        "explain": st.one_of(st.booleans(), anything),
        "timeout_s": st.one_of(st.floats(0, 5), st.integers(), st.none(), anything),
        "audio": anything,
    },
)
damage = st.one_of(
    st.none(), st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(max_size=3))
)


def encoded(document: Any, damage: tuple[int, int, bytes] | None, spaces: bool) -> bytes:
    separators = None if spaces else (",", ":")
    body = json.dumps(document, separators=separators).encode()
    if damage is None:
        return body
    place, cut, piece = damage
    return body[:place] + piece + body[place + cut :]


def same(fast: NDArray[Any], slow: NDArray[Any]) -> bool:
    return (
        fast.dtype == slow.dtype and fast.shape == slow.shape and fast.tobytes() == slow.tobytes()
    )


def check_infer(body: bytes) -> bool:
    """Hold one body; whether it was read the fast way."""
    plain = read_infer(body)
    if plain is None:
        return False
    try:
        fast = infer.decode(body)
    except ServiceError:  # a field's type, in the slow decoder's own words
        return False
    slow = decode_json(infer.DECODER, body)
    for ours, theirs in zip(fast.inputs, slow.inputs, strict=True):
        if isinstance(ours.data, np.ndarray):
            array = tensor_array(theirs.data, theirs.shape, theirs.datatype, "field")
            assert same(ours.data, array)
        assert (ours.name, ours.shape, ours.datatype) == (
            theirs.name, theirs.shape, theirs.datatype,
        )  # fmt: skip
        assert repr(ours.parameters) == repr(theirs.parameters)
    assert repr((fast.id, fast.outputs, fast.parameters)) == repr(
        (slow.id, slow.outputs, slow.parameters)
    )
    return True


def check_predict(body: bytes) -> bool:
    """Hold one body; whether it was read the fast way."""
    plain = Classification.read_plain(body, lambda count, field: None)
    if plain is None:
        return False
    options, sequences = plain
    slow = msgspec.json.decode(body, type=Classification.request)
    assert slow.sequences is not None
    assert slow.audio is None
    for ours, theirs in zip(sequences, slow.sequences, strict=True):
        assert same(ours, sequence_array(theirs, "field"))
    assert repr((options.top_k, options.explain, options.timeout_s)) == repr(
        (slow.top_k, slow.explain, slow.timeout_s)
    )
    return True


@settings(deadline=None, max_examples=600)
@given(infers, damage, st.booleans())
def test_infer(document: Any, damage: tuple[int, int, bytes] | None, spaces: bool) -> None:
    check_infer(encoded(document, damage, spaces))


@settings(deadline=None, max_examples=600)
@given(predicts, damage, st.booleans())
@example({"sequences": [[[1, 2], [3]]]}, None, False)
@example({"sequences": [[[[1, 2]], [[3, 4]]]]}, None, False)
@example({"sequences": [[["ab"]]]}, None, False)
def test_predict(document: Any, damage: tuple[int, int, bytes] | None, spaces: bool) -> None:
    check_predict(encoded(document, damage, spaces))


TENSOR = b'{"name":"inputs","shape":[1,2,2],"datatype":"FP32","data":%s}'


@pytest.mark.parametrize("data", [b"[1,2.5,-3e2,4]", b"[[[1,2],[3,4]]]", b" [ 1 ,2, 3,4 ] "])
def test_what_is_plain_is_read_fast(data: bytes) -> None:
    assert check_infer(b'{"inputs":[' + TENSOR % data + b"]}")
    more = b',"id":"x","outputs":[{"name":"logits"}],"parameters":{"timeout":1}}'
    assert check_infer(b'{"inputs":[' + TENSOR % data + b"]" + more)
    assert check_predict(b'{"sequences":[[[1,2.5]],[[0.0,1],[2,3]]],"top_k":2,"timeout_s":1}')


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"inputs":[' + TENSOR % b"[1,2,3,4]" + b"]}",
        b'{"inputs":[],"inputs":[' + TENSOR % b"[1,2,3,4]" + b"]}",
        b'{"inputs":[' + TENSOR % b"[[1,2],[3,4]]" + b"]}",
        b'{"inputs":[' + TENSOR % b"[[1,2,3,4],[],[],[]]" + b"]}",
        b'{"inputs":[' + TENSOR % b"[1,[2],3,4]" + b"]}",
        b'{"inputs":[' + TENSOR % b"[[[1,2],[3,[4]]]]" + b"]}",
        b'{"inputs":[' + TENSOR % b"[[[1,2],[3,[]]]]" + b"]}",
        b'{"inputs":[' + TENSOR % b"[1,2,3,true]" + b"]}",
        b'{"inputs":[' + TENSOR % b"[1,2,3]" + b"]}",
        b'{"inputs":[' + TENSOR % b"[1,2,3,1e400]" + b"]}",
        b'{"inputs":['
        + TENSOR % b"[1,2,3,4]"
        + b'],"id":"[","x":'
        + b"[" * 900
        + b"]" * 900
        + b"}",
    ],
)
def test_what_is_not_plain_is_left_to_the_slow_decoder(body: bytes) -> None:
    assert not check_infer(body)


def test_missing_data_is_still_named() -> None:
    request = infer.decode(b'{"inputs":[{"name":"inputs","shape":[1],"datatype":"FP32"}]}')
    with pytest.raises(ServiceError, match=r"inputs\[0\]\.data.*missing"):
        infer.array_of(Blobs(b"", 0), 0, request.inputs[0])
