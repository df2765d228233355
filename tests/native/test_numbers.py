"""JSON's numbers read and written natively are those that Python's json and NumPy have."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service import native

Floats = NDArray[np.float32]

LEAST_NORMAL = 2.0**-1022
"""A double nearer to zero may be left to another decoder."""


def reference(text: str, count: int) -> Floats | None:
    """What `text` says, if it is a flat array of so many numbers, all finite as float32."""
    if text[:1] != "[" or text[-1:] != "]":
        return None
    try:
        values = json.loads(text)
        if not all(type(value) in (int, float) for value in values):
            return None
        doubles = np.array(values, dtype=np.float64)
    except (ValueError, OverflowError):
        return None
    with np.errstate(over="ignore"):
        floats = doubles.astype(np.float32)
    return floats if len(floats) == count and np.isfinite(floats).all() else None


def is_tiny(text: str) -> bool:
    """Whether one of a flat array's numbers is next to nothing, and yet not nothing."""
    return any(
        abs(float(number)) < LEAST_NORMAL and re.match(r"-?[0.]*[1-9]", number)
        for number in json.loads(text, parse_float=str, parse_int=str)
    )


def check(text: str, count: int) -> bool:
    """Hold what is read against the reference; whether it was read."""
    found, wanted = native.read_numbers(text.encode(), count), reference(text, count)
    if wanted is None:
        assert found is None
        return False
    if found is None:
        assert count == 0 or is_tiny(text), "left to another decoder without need"
        return False
    assert found.dtype == np.float32
    assert found.tobytes() == wanted.tobytes()
    return True


digits = st.text("0123456789", min_size=1, max_size=25)
whole = st.one_of(st.just("0"), digits.filter(lambda text: text[0] != "0"))
exponents = st.one_of(
    st.integers(-60, 40).map(str),
    st.integers(-400, 400).map(str),
    st.integers(0, 30).map("+{:03}".format),
    digits,
)
numbers = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    whole,
    st.one_of(st.just(""), digits.map(".{}".format)),
    st.one_of(st.just(""), st.builds("{}{}".format, st.sampled_from("eE"), exponents)),
)
usual = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers().map(str),
)
spaces = st.text(" \t\r\n", max_size=2)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[str, int]:
    """An array as it is written, and how many numbers it has."""
    texts = draw(st.lists(st.one_of(numbers, usual), max_size=8))
    padded = [f"{draw(spaces)}{text}{draw(spaces)}" for text in texts]
    return f"[{','.join(padded)}]", len(texts)


@settings(max_examples=600, deadline=None)
@given(arrays())
def test_every_way_to_write_a_number(written: tuple[str, int]) -> None:
    check(*written)


@settings(max_examples=400, deadline=None)
@given(numbers)
@example("-0")
@example("-0.0")
@example("-0e5")
@example("9007199254740993")  # between two doubles
@example("16777217")  # between two float32s
@example("16777217.000000000000000001")  # its nearest double lies just between, itself does not
@example("1.00000017881393421514957253748434595763683319091796875001")
@example("3.4028235677973366e38")  # the first that is infinite
@example("3.4028235677973362e38")
@example("7.006492321624085e-46")  # the first that is nothing
@example("7.006492321624086e-46")
@example("1e-5000000000000000000000")
@example("0e99999999999999999999")
@example("1e99999999999999999999")
@example("0.00000000000000000000000000000000000000000000000000001e53")
@example("123456789012345678901234567890e-29")
def test_one_number(text: str) -> None:
    check(f"[{text}]", 1)


@settings(max_examples=600, deadline=None)
@given(
    arrays(),
    st.lists(
        st.tuples(
            st.integers(0, 99), st.integers(0, 2), st.text('0123456789+-.eE,[] \n{}":', max_size=2)
        ),
        max_size=2,
    ),
    st.integers(-1, 1),
)
def test_what_is_damaged_is_told_from_what_is_not(
    written: tuple[str, int], damages: list[tuple[int, int, str]], miscount: int
) -> None:
    text, count = written
    for at, cut, piece in damages:
        place = at % (len(text) + 1)
        text = text[:place] + piece + text[place + cut :]
    check(text, max(count + miscount, 0))


@settings(max_examples=400, deadline=None)
@given(st.text("01-+.eE,[] \nNaInfity\0é", max_size=12), st.integers(0, 4))
def test_any_text(text: str, count: int) -> None:
    check(text, count)
    check(f"[{text}]", count)


@pytest.mark.parametrize(
    "text",
    [
        "01", "-01", "00", "+1", ".5", "-.5", "1.", "1.e5", "1e", "1e+", "1.5e-", "-", "--1", "0x1",
        "1_0", "1,", ",1", "1,,1", "1 1", "[1]", "[]", "NaN", "-NaN", "Infinity", "-Infinity",
        "inf", "nan", "null", "true", '"1"', "{}", "1e39", "-1e39", "1e400", "1e99999",
        "1\0", "\x0b1", "", "\u0661", "1/2", "1;", "1]", "[1", "1]1",
    ],
)  # fmt: skip
def test_what_is_no_finite_number_is_refused_wherever_it_stands(text: str) -> None:
    assert not check(f"[{text}]", 1)
    assert not check(f"[{text}]", text.count(",") + 1)
    for array in (f"[{text},2.5]", f"[2.5,{text}]", f"[2.5, {text} ,2.5]"):
        assert not check(array, array.count(",") + 1)


@pytest.mark.parametrize(
    "text", ["", "[", "]", "[1", "1]", "1", " [1]", "[1] ", "[1],[2]", "[1\0]"]
)
def test_what_is_no_array_is_refused(text: str) -> None:
    for count in range(3):
        assert not check(text, count)


def test_too_many_and_too_few() -> None:
    for count in range(6):
        assert check("[1,2.5,-3]", count) == (count == 3)
        assert check("[]", count) == (count == 0)
    assert not check("[1]", 10**15), "room is made for what is there"


def random_floats(count: int) -> Floats:
    """Any finite float32, each as likely as any other."""
    bits = np.random.default_rng(0).integers(0, 1 << 32, count, dtype=np.uint32)
    floats = bits.view(np.float32)
    return floats[np.isfinite(floats)]


def test_any_bits_are_written_and_read_back() -> None:
    floats = random_floats(200_000)
    text = b"[" + native.write_numbers(floats) + b"]"
    read = native.read_numbers(text, len(floats))
    assert read is not None
    assert read.tobytes() == floats.tobytes()


def test_any_doubles_are_read_as_their_nearest_float32() -> None:
    random = np.random.default_rng(1)
    doubles = random.integers(0, 1 << 64, 200_000, dtype=np.uint64).view(np.float64)
    doubles = doubles[(np.abs(doubles) < 3e38) & (np.abs(doubles) > 1e-300)]
    near = random_floats(50_000).astype(np.float64)
    between = (near + np.nextafter(near.astype(np.float32), np.float32(np.inf))) / 2
    doubles = np.concatenate([doubles, between[np.isfinite(between) & (np.abs(between) < 3e38)]])
    text = f"[{','.join(map(repr, doubles.tolist()))}]".encode()
    read = native.read_numbers(text, len(doubles))
    assert read is not None
    assert read.tobytes() == doubles.astype(np.float32).tobytes()


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=400, deadline=None)
@given(st.lists(finite, max_size=20))
@example([-0.0, 0.0, 1.0, -1.0, 16777216.0, 1e-45, 3.4028234663852886e38, 1e7, 1e16, 1e-5])
def test_what_is_written_says_just_these_numbers(values: list[float]) -> None:
    floats = np.array(values, dtype=np.float32)
    read: list[Any] = json.loads(b"[" + native.write_numbers(floats) + b"]")
    assert all(type(value) is float for value in read), "a whole number is read as another type"
    assert np.array(read, dtype=np.float32).tobytes() == floats.tobytes()


def test_what_is_not_finite_is_null_as_elsewhere() -> None:
    floats = np.array([1, np.nan, -np.inf, np.inf, 2], dtype=np.float32)
    assert json.loads(b"[" + native.write_numbers(floats) + b"]") == [1, None, None, None, 2]


def test_an_array_of_any_layout_is_written_in_its_order() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    for array in (rows, np.asfortranarray(rows), rows.astype(np.float64)):
        written = native.write_numbers(array)  # type: ignore[arg-type]
        assert json.loads(b"[" + written + b"]") == list(range(12))
    assert native.write_numbers(rows[:0]) == b""
