"""Each block of docs/export.md, run as it stands, is served and answers as its model does."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.any_onnx.asking import ask, outputs_of
from tests.any_onnx.made import graph, tensor, write
from tests.any_onnx.run_block import CASES, LENGTHS
from tests.servers import CHECKOUT, Server, serving

BLOCKS = {
    name: (python, json)
    for name, python, json in re.findall(
        r"<!-- export: (\w+) -->\n```python\n(.*?)```\n(?:\n```json\n(.*?)```\n)?",
        (CHECKOUT / "docs" / "export.md").read_text(),
        re.DOTALL,
    )
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all blocks leave in the folders that are to be served; they share imports of torch."""
    repository: Path = tmp_path_factory.mktemp("exported")
    folders = {name: repository / name / "1" for name in BLOCKS}
    for name, (python, json) in BLOCKS.items():
        folders[name].mkdir(parents=True)
        (folders[name] / "block.py").write_text(python)
        if json:
            (folders[name] / "model.json").write_text(json)
    done = subprocess.run(
        [sys.executable, "-m", "tests.any_onnx.run_block", *folders.values()],
        cwd=CHECKOUT,
        env={"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return repository


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with serving(repository, engine_threads=2, calibration_ms=20) as server:
        yield server


def wanted_of(repository: Path, name: str) -> dict[str, NDArray[Any]]:
    with np.load(repository / name / "1" / "wanted.npz") as file:
        return dict(file)


def test_every_block_is_tried() -> None:
    assert BLOCKS.keys() == {*CASES, "sklearn"}


@pytest.mark.timeout(600)  # exports take their time
@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_torch_does(server: Server, repository: Path, name: str) -> None:
    wanted = wanted_of(repository, name)
    sequences = [wanted[f"sequence_{length}"] for length in LENGTHS]
    padded = np.zeros((len(LENGTHS), max(LENGTHS), *sequences[0].shape[1:]), sequences[0].dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    input_name = "ids" if name == "mask" else "inputs"
    outputs = outputs_of(ask(server, name, **{input_name: padded, "lengths": np.array(LENGTHS)}))
    (found,) = outputs.values()
    for row, length in zip(found, LENGTHS, strict=True):
        answer = wanted[f"answer_{length}"]
        found_here = row[:length] if row.ndim == 2 else row
        np.testing.assert_allclose(found_here, answer, atol=1e-5)


def test_the_tagger_is_asked_for_labels(server: Server, repository: Path) -> None:
    wanted = wanted_of(repository, "packed")
    body = {"sequences": [wanted["sequence_9"].tolist(), wanted["sequence_2"].tolist()]}
    predictions = server.client.post("/v1/models/packed/predict", json=body).json()["predictions"]
    names = ["noun", "verb", "article", "other"]
    for prediction, length in zip(predictions, (9, 2), strict=True):
        best = wanted[f"answer_{length}"].argmax(axis=1)
        assert prediction["labels"] == [names[index] for index in best]


@pytest.mark.parametrize(("has_locale", "state"), [(False, "UNAVAILABLE"), (True, "READY")])
def test_a_locale_that_is_missing_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_locale: bool, state: str
) -> None:
    node = helper.make_node(
        "StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale="xx_XX.UTF-8"
    )
    strings = TensorProto.STRING
    write(
        tmp_path / "repository",
        "lower",
        graph([node], [tensor("x", ["n"], strings)], [tensor("y", ["n"], strings)]),
    )
    locales = tmp_path / "locales"
    locales.mkdir()
    if has_locale:  # as the image has en_US
        (locales / "xx_XX.utf8").symlink_to("/usr/lib/locale/C.utf8")
    monkeypatch.setenv("LOCPATH", str(locales))
    with serving(tmp_path / "repository", strict_readiness=False) as server:
        (entry,) = server.client.post("/v2/repository/index").json()
        assert entry["state"] == state, entry
        assert has_locale or "StringNormalizer to C.UTF-8 (docs/export.md)" in entry["reason"]


def test_texts_are_classified_without_that_locale(server: Server, repository: Path) -> None:
    wanted = wanted_of(repository, "sklearn")
    texts = wanted["texts"].astype(object)[:, None]
    found = outputs_of(ask(server, "sklearn", texts=texts))
    np.testing.assert_allclose(found["probabilities"], wanted["probabilities"], atol=1e-6)
