"""A bundle whose files are not as translation needs them does not load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.errors import BundleError
from service.manifest import Manifest
from service.tasks.task import Bundle
from service.tasks.translation.settings import TranslationSettings
from service.tasks.translation.task import Translation
from tests.servers import REPOSITORY

FOLDER = REPOSITORY / "dates-gru" / "1"


def bundle(files: dict[str, bytes] | None = None, **changes: Any) -> Bundle:
    """That of the dates, with other files or another manifest."""
    document = json.loads((FOLDER / "model.json").read_text()) | changes
    given = files or {}

    def read_file(name: str) -> bytes:
        return given.get(name) or (Path(FOLDER) / name).read_bytes()

    return Bundle(Manifest.model_validate(document), read_file)


def test_a_bundle_says_what_its_decoder_is() -> None:
    task = Translation(bundle())
    spec = task.decoder_spec()
    assert isinstance(task.manifest.settings, TranslationSettings)
    assert spec.memory is not None
    assert spec.memory.width == task.settings.memory_width
    assert {state.input for state in spec.state} == {"lower_hidden", "upper_hidden"}
    assert spec.cache is None
    assert spec.attention == "attention"
    assert spec.max_length == task.settings.max_tokens + 1


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"source.txt": b"\xff"}, "source.txt"),
        ({"target.txt": b"a\n"}, "target.txt: a vocabulary begins with"),
        ({"source.txt": b"<padding>\n<begin>\n<end>\n<unknown>\n"}, "source.txt has 4 units"),
        ({"target.txt": b"<padding>\n<begin>\n<end>\n<unknown>\n"}, "target.txt has 4 units"),
    ],
)
def test_a_vocabulary_of_another_model_is_refused(files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        Translation(bundle(files))


def test_settings_are_needed() -> None:
    with pytest.raises(BundleError, match="settings"):
        Translation(bundle(settings=None))
