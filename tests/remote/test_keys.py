"""No key, whatever it is, makes a file outside of the copy."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.origin.remote import list_parts

parts = st.one_of(
    st.sampled_from(
        ["..", ".", "", "1", "2", "model", "serving.json", "/", "\\", "~", "\0", "1\n"]
    ),
    st.text(max_size=4),
)
keys = st.lists(parts, min_size=1, max_size=5).map("/".join)


class Lister:
    """A remote that says that these keys are there, all in its root."""

    def __init__(self, keys: list[str]) -> None:
        self._keys = keys

    def ls(self, folder: str, detail: bool) -> list[dict[str, Any]]:
        assert detail
        return [{"name": f"{folder}/{key}", "type": "file", "size": 1} for key in self._keys]


@given(st.lists(keys, max_size=8))
def test_every_copied_file_has_a_place_of_its_own_in_the_copy(keys: list[str]) -> None:
    with capture_logs():
        found = list_parts(Lister(keys), "bucket")
    for place, files in found.items():
        for name, file in files.items():
            path = PurePosixPath(place) if name == "serving.json" else PurePosixPath(place, name)
            assert not path.is_absolute()
            assert ".." not in path.parts
            assert len(PurePosixPath(place).parts) == 2
            assert "/" not in name
            assert file.key in (f"bucket/{path}", f"bucket//{path}", f"bucket/{place}/{name}")


def test_good_keys_are_taken() -> None:
    found = list_parts(Lister(["a/1/model.onnx", "a/1/model.json", "a/serving.json"]), "bucket")
    assert {place: sorted(files) for place, files in found.items()} == {
        "a/1": ["model.json", "model.onnx"],
        "a/serving.json": ["serving.json"],
    }
