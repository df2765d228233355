"""The `.ts` reader: what a writer wrote comes back; what is no `.ts` is refused with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.frames.dataset import SequenceSet
from training.data.frames.ts import load_ts
from training.data.reading import DataError

HEADER = "@problemName p\n@univariate false\n@classLabel true up down\n@data\n"
GOOD = HEADER + "1,2:3,4:up\n5:6:down\n"

VALUES = st.floats(width=32, allow_nan=False, allow_infinity=False)
LABELS = ["up", "down", "7"]


@st.composite
def sequence_sets(draw: st.DrawFn, num_features: int) -> SequenceSet:
    lengths = draw(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    sequences = []
    for length in lengths:
        size = length * num_features
        values = draw(st.lists(VALUES, min_size=size, max_size=size))
        sequences.append(np.array(values, dtype=np.float32).reshape(length, num_features))
    others = draw(st.lists(st.integers(0, 2), min_size=len(lengths) - 2, max_size=len(lengths) - 2))
    return SequenceSet(sequences, np.array([0, 1, *others], dtype=np.int64))


def write_ts(path: Path, part: SequenceSet) -> Path:
    lines = [
        ":".join([*(",".join(map(repr, column.tolist())) for column in sequence.T), LABELS[target]])
        for sequence, target in zip(part.sequences, part.targets, strict=True)
    ]
    header = ["# made by a test", "@TimeStamps false", f"@classlabel true {' '.join(LABELS)}"]
    path.write_text("\n".join([*header, "", "@data", *lines]) + "\n")
    return path


def refusal(folder: Path, text: str) -> str:
    (folder / "bad.ts").write_text(text)
    (folder / "good.ts").write_text(GOOD)
    with pytest.raises(DataError) as caught:
        load_ts(folder / "bad.ts", folder / "good.ts", "p")
    return str(caught.value)


@given(data=st.data(), num_features=st.integers(1, 3))
def test_what_was_written_is_read(
    data: st.DataObject, num_features: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ts")
    train, test = (data.draw(sequence_sets(num_features)) for _ in range(2))
    dataset = load_ts(
        write_ts(folder / "train.ts", train), write_ts(folder / "test.ts", test), "mine"
    )
    assert dataset.labels == LABELS
    assert len(dataset.feature_names) == num_features
    assert dataset.max_length >= max(map(len, train.sequences + test.sequences))
    for read, written in ((dataset.train, train), (dataset.test, test)):
        np.testing.assert_array_equal(read.targets, written.targets)
        for found, expected in zip(read.sequences, written.sequences, strict=True):
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, expected)


def test_classes_count_as_in_the_training_file(tmp_path: Path) -> None:
    (tmp_path / "train.ts").write_text(GOOD)
    (tmp_path / "test.ts").write_text(GOOD.replace("up down", "down up"))
    dataset = load_ts(tmp_path / "train.ts", tmp_path / "test.ts", "p")
    assert dataset.labels == ["up", "down"]
    assert dataset.test.targets.tolist() == [0, 1]


def test_missing_values_repeat_the_last_known_and_trailing_ones_are_padding(
    tmp_path: Path,
) -> None:
    text = HEADER + "?,1,NaN,3,?:5,?,?,6,nan:up\n1:2:down\n"
    for name in ("train.ts", "test.ts"):
        (tmp_path / name).write_text(text)
    first = load_ts(tmp_path / "train.ts", tmp_path / "test.ts", "p").train.sequences[0]
    assert first.tolist() == [[1, 5], [1, 5], [1, 5], [3, 6]]


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (HEADER + "1,2:3,4:up\n1,x:3,4:up\n", "line 6", "'x' in dimension 0 is not a number"),
        (HEADER + "1,2:3:up\n", "line 5", "different lengths: [2, 1]"),
        (HEADER + "1:2:up\n1:up\n", "line 6", "1 dimensions, expected 2"),
        (HEADER + "1:2:left\n", "line 5", "class 'left' is none of ['up', 'down']"),
        (HEADER + "up\n", "line 5", "no `:` before a class"),
        (HEADER + "1::up\n", "line 5", "'' in dimension 1 is not a number"),
        (HEADER + "1,2:?,?:up\n", "line 5", "dimension 1 has no value at all"),
        (HEADER + "1,2:3,inf:up\n", "line 5", "infinite"),
        (HEADER + "1,2:3,1e39:up\n", "line 5", "too large for float32"),
        ("@dimensions 3\n" + HEADER + "1:2:up\n", "line 6", "2 dimensions, expected 3"),
        ("@seriesLength 3\n" + HEADER + "1:2:up\n", "line 6", "1 steps, @seriesLength says 3"),
        ("# a\n\n@timeStamps true\n" + GOOD, "line 3", "time stamps are not supported"),
        ("@targetLabel true\n" + GOOD, "line 1", "regression targets are not supported"),
        ("@dimensions many\n" + GOOD, "line 1", "a whole number from 1, not 'many'"),
        ("@classLabel true up up\n" + GOOD, "line 1", "names a class twice"),
        ("1,2,3\n" + GOOD, "line 1", "expected a tag or @data, not '1,2,3'"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, text: str, place: str, reason: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(f"{tmp_path / 'bad.ts'}, {place}: ")
    assert reason in message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no @data line"),
        ("@problemName p\n@data\n1:2:up\n", "no `@classLabel true`"),
        (HEADER, "no sequences after @data"),
        (HEADER + "1:2:up\n3:4:up\n", "all sequences are of one class"),
    ],
)
def test_an_error_of_the_whole_file_names_it(tmp_path: Path, text: str, reason: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(f"{tmp_path / 'bad.ts'}: ")
    assert reason in message


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    wider = HEADER + "1:2:3:up\n1:2:3:down\n"
    assert "good.ts has 2 dimensions" in refusal(tmp_path, wider)
    more_classes = GOOD.replace("up down", "up down left")
    assert "good.ts has classes ['up', 'down']" in refusal(tmp_path, more_classes)
