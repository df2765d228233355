"""The `.npz` reader: what a writer wrote comes back; what does not fit is refused by its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray

from training.data.frames.npz import load_npz
from training.data.reading import DataError

Arrays = dict[str, NDArray[Any]]

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def good() -> Arrays:
    return {
        "X": np.arange(12, dtype=np.float64).reshape(6, 2),
        "lengths": np.array([1, 3, 2]),
        "y": np.array(["up", "down", "up"]),
        "feature_names": np.array(["left", "right"]),
    }


def refusal(folder: Path, train: Arrays, test: Arrays | None = None) -> str:
    np.savez(folder / "train.npz", **train)  # type: ignore[arg-type]
    np.savez(folder / "test.npz", **(test or good()))  # type: ignore[arg-type]
    with pytest.raises(DataError) as caught:
        load_npz(folder / "train.npz", folder / "test.npz", "p")
    return str(caught.value)


@st.composite
def files(draw: st.DrawFn, num_features: int, labels: st.SearchStrategy[Any]) -> Arrays:
    lengths = draw(st.lists(st.integers(1, 5), min_size=2, max_size=5))
    targets = draw(
        st.lists(labels, min_size=len(lengths), max_size=len(lengths)).filter(
            lambda drawn: len(set(drawn)) > 1
        )
    )
    values = draw(arrays_of.arrays(np.float32, (sum(lengths), num_features), elements=FLOATS))
    return {"X": values, "lengths": np.array(lengths), "y": np.array(targets)}


@given(
    data=st.data(),
    num_features=st.integers(1, 3),
    labels=st.sampled_from([st.integers(-20, 20), st.text("abc xyz", min_size=1, max_size=4)]),
)
def test_what_was_written_is_read(
    data: st.DataObject,
    num_features: int,
    labels: st.SearchStrategy[Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    train = data.draw(files(num_features, labels))
    path = tmp_path_factory.mktemp("npz") / "train.npz"
    np.savez(path, **train)  # type: ignore[arg-type]
    dataset = load_npz(path, path, "mine")
    assert [dataset.labels[target] for target in dataset.train.targets] == [
        str(label) for label in train["y"]
    ]
    assert [len(sequence) for sequence in dataset.train.sequences] == train["lengths"].tolist()
    np.testing.assert_array_equal(np.concatenate(dataset.train.sequences), train["X"])
    assert dataset.max_length == 4 * train["lengths"].max()


def test_integer_classes_count_by_value_and_names_come_from_either_file(tmp_path: Path) -> None:
    train = good() | {"y": np.array([10, 9, 10], dtype=np.uint8)}
    test = good() | {"y": np.array([9, 9, 10])}
    del test["feature_names"]
    np.savez(tmp_path / "train.npz", **train)  # type: ignore[arg-type]
    np.savez(tmp_path / "test.npz", **test)  # type: ignore[arg-type]
    dataset = load_npz(tmp_path / "train.npz", tmp_path / "test.npz", "p")
    assert dataset.labels == ["9", "10"]
    assert dataset.test.targets.tolist() == [0, 0, 1]
    assert dataset.feature_names == ["left", "right"]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("X", np.zeros(6), "has shape (6,)"),
        ("X", np.zeros((6, 0)), "has shape (6, 0)"),
        ("X", np.zeros((6, 2), dtype=complex), "is complex128, expected real numbers"),
        ("X", np.full((6, 2), np.nan), "sequence 0: dimension 0 has no value at all"),
        ("X", np.full((6, 2), 1e39), "too large for float32"),
        ("lengths", np.array([1.0, 3.0, 2.0]), "is float64 (3,), expected integers"),
        ("lengths", np.array([0, 4, 2]), "one number from 1 for each sequence"),
        ("lengths", np.array([], dtype=int), "one number from 1 for each sequence"),
        ("lengths", np.array([1, 3, 3]), "sum to 7, X has 6 steps"),
        ("y", np.array([0.5, 1.0, 0.5]), "is float64, expected strings or integers"),
        ("y", np.array(["up", "down"]), "has shape (2,), lengths has (3,)"),
        ("feature_names", np.array(["left"]), "expected strings (2,)"),
        ("feature_names", np.array([0, 1]), "expected strings (2,)"),
        ("feature_names", np.array(["left", "left"]), "has a name twice"),
    ],
)
def test_an_error_names_file_and_key(
    tmp_path: Path, key: str, value: NDArray[Any], reason: str
) -> None:
    message = refusal(tmp_path, good() | {key: value})
    assert message.startswith(f"{tmp_path / 'train.npz'}: {key}")
    assert reason in message


def test_missing_and_unknown_keys_are_named(tmp_path: Path) -> None:
    without = {key: value for key, value in good().items() if key != "lengths"}
    assert "lengths is missing; it holds ['X', 'feature_names', 'y']" in refusal(tmp_path, without)
    assert "feature_name is no known key" in refusal(
        tmp_path, good() | {"feature_name": np.array(["left", "right"])}
    )


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    wide = {"X": np.zeros((6, 3)), "lengths": np.array([1, 3, 2]), "y": good()["y"]}
    assert "X has 2 features" in refusal(tmp_path, wide)
    assert "strings or integers" in refusal(tmp_path, good() | {"y": np.array([1, 2, 1])})
    unseen = good() | {"y": np.array(["up", "down", "left"])}
    assert "test.npz: y holds left, which" in refusal(tmp_path, good(), unseen)
    renamed = good() | {"feature_names": np.array(["right", "left"])}
    assert "feature_names differ" in refusal(tmp_path, good(), renamed)
    one_class = good() | {"y": np.array(["up", "up", "up"])}
    assert "all sequences are of one class" in refusal(tmp_path, one_class, one_class)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    message = refusal(tmp_path, good() | {"y": np.array(["up", 1, None], dtype=object)})
    assert "Object arrays cannot be loaded" in message


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut short"])
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train\.npz: not a \.npz file of plain arrays"):
        load_npz(path, path, "p")


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.npy"
    np.save(path, np.zeros((2, 2)))
    with pytest.raises(DataError, match="one array without a name"):
        load_npz(path, path, "p")
