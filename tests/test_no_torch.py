"""What serves never meets torch: an installation without it, really made, answers requests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from service import native
from tests.http.payloads import RECORDING, WAV, frames, infer_body, infer_path, predict_path
from tests.servers import CHECKOUT, serving

ABSENT = ["torch", "onnx", "onnxscript", "accelerate", "sklearn", "matplotlib", "pytest", "grpc"]
LIST_MODULES = "import service.app, service.__main__, json, sys; print(json.dumps([*sys.modules]))"

pytestmark = pytest.mark.timeout(300)  # installs; a minute with a warm package cache


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment with the project's own requirements and nothing else."""
    folder = tmp_path_factory.mktemp("runtime")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "THIRD_PARTY_LICENSES.md"):
        shutil.copy(CHECKOUT / name, source)
    for name in ("native", "service", "models", "training"):
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(CHECKOUT / name, source / name, ignore=ignored)
    # what is native is not compiled a second time: setuptools finds it newer than its sources
    built = source / "build" / f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    (built / "service").mkdir(parents=True)
    shutil.copyfile(native.__file__, built / "service" / Path(native.__file__).name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    interpreter = folder / "venv" / "bin" / "python"
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", interpreter]
    constraints = CHECKOUT / "constraints.txt"
    environment = os.environ | dict.fromkeys(
        ["PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"], constraints
    )
    install: list[str | Path] = [*pip, "install", "--quiet", "--no-compile"]
    # as the image does it: nothing but files whose hashes are known
    locked = ["--require-hashes", "--only-binary=:all:", f"-r{CHECKOUT / 'requirements.lock'}"]
    subprocess.run([*install, *locked], check=True)
    subprocess.run([*install, "--no-deps", source], env=environment, check=True)
    return str(interpreter)


def run(python: str, code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code where the checkout is not on the path."""
    return subprocess.run(
        [python, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_service_imports_and_nothing_of_training_comes_with_it(
    python: str, tmp_path: Path
) -> None:
    listed = run(python, LIST_MODULES, tmp_path)
    assert listed.returncode == 0, listed.stderr
    modules = set(json.loads(listed.stdout))
    assert {"service.engine.engine", "service.native"} <= modules
    assert not modules & {"models", "training", *ABSENT}


@pytest.mark.parametrize("module", ABSENT)
def test_it_is_not_installed(python: str, tmp_path: Path, module: str) -> None:
    imported = run(python, f"import {module}", tmp_path)
    assert imported.returncode == 1
    assert f"No module named '{module}'" in imported.stderr


def test_it_serves(python: str, tmp_path: Path) -> None:
    with serving(python=python, cwd=tmp_path) as server:
        recording = server.client.post(predict_path(), content=RECORDING, headers=WAV)
        assert recording.status_code == 200
        assert recording.json()["predictions"][0]["label"] in "0123456789"
        tensors = server.client.post(infer_path("digits-hybrid"), json=infer_body(frames(9)))
        assert tensors.status_code == 200
        assert server.client.get("/v2").json()["name"] == "seqserve"
