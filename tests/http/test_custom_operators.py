"""A bundle brings numbers, never code: no library named or lying in it is loaded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from tests.graphs.made import sum_graph, sum_manifest, write_bundle
from tests.http.made import copy_bundle
from tests.http.refusals import check_serving
from tests.servers import serving, wait_until

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="the library is compiled by gcc")

LIBRARY = "libcustom.so"
NAMES = [LIBRARY, "model.so", "model.onnx.so", "libonnxruntime_extensions.so"]
SOURCE = """
#include <stdio.h>
__attribute__((constructor)) static void loaded(void) {
  FILE *file = fopen("%s", "w");
  if (file) fclose(file);
}
void *RegisterCustomOps(void *options, const void *api) { loaded(); return 0; }
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """One that leaves the file `loaded` beside it when it is loaded."""
    source, library = tmp_path / "custom.c", tmp_path / LIBRARY
    source.write_text(SOURCE % (tmp_path / "loaded"))
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def with_custom_operator(model: onnx.ModelProto) -> None:
    """Its answer comes from an operator that only the library would have."""
    model.graph.node[-1].domain = "custom.domain"
    model.graph.node[-1].op_type = "Answer"
    model.opset_import.append(helper.make_opsetid("custom.domain", 1))


def that_names_a_library(model: onnx.ModelProto) -> None:
    """In every place where a graph has free text for its runtime."""
    with_custom_operator(model)
    names = dict.fromkeys(("custom_op_library", "custom_ops_library", "library"), LIBRARY)
    session = f'{{"session_options": {{"custom_op_library": "{LIBRARY}"}}}}'
    helper.set_model_props(model, {**names, "ort_config": session})
    model.graph.node[-1].attribute.append(helper.make_attribute("library", LIBRARY))


def that_is_fine(model: onnx.ModelProto) -> None:
    """A graph that needs no library, beside some."""


def write_with_library(
    repository: Path, name: str, change: Callable[[onnx.ModelProto], None], library: Path
) -> None:
    model = onnx.load_from_string(sum_graph())
    change(model)
    graph = model.SerializeToString()
    folder = write_bundle(repository, sum_manifest(graph, name=name), graph)
    for file in NAMES:
        shutil.copy(library, folder / file)


def test_no_library_is_loaded_and_what_needs_one_is_refused(tmp_path: Path, library: Path) -> None:
    repository = tmp_path / "repository"
    copy_bundle("digits-lstm", repository)
    write_with_library(repository, "custom", with_custom_operator, library)
    write_with_library(repository, "naming", that_names_a_library, library)
    write_with_library(repository, "fine", that_is_fine, library)
    with serving(repository, ready=False) as server:

        def index() -> dict[str, dict[str, str]]:
            entries = server.client.post("/v2/repository/index").json()
            return {entry["name"]: entry for entry in entries}

        wait_until(lambda: all(entry["state"] != "LOADING" for entry in index().values()))
        for name in ("custom", "naming"):
            assert index()[name]["state"] == "UNAVAILABLE"
            assert "onnxruntime can't load the graph" in index()[name]["reason"]
            assert "custom.domain:Answer" in index()[name]["reason"]
        assert index()["fine"]["state"] == "READY"
        check_serving(server.client, "digits-lstm")
        mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "onnxruntime" in mapped
        assert not [line for line in mapped.splitlines() if str(tmp_path) in line]
    assert not (tmp_path / "loaded").exists()


def test_the_library_would_show_that_it_was_loaded(tmp_path: Path, library: Path) -> None:
    code = f"import ctypes; ctypes.CDLL({str(library)!r}); print(open('/proc/self/maps').read())"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert str(library) in loaded.stdout
    assert (tmp_path / "loaded").exists()
