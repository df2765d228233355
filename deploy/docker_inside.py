"""Run inside the container by docker_test.py: what the process may do and import, and licences."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path

FOLDERS = ("/", "/opt/seqserve", "/srv", "/srv/repository", "/tmp", "/var/tmp")
UNWANTED = ("torch", "onnx", "models", "training", "tests", "native", "pybind11", "setuptools")
COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "clang++")


def is_writable(folder: str) -> bool:
    """Whether a file can be made there."""
    try:
        Path(folder, "probe").touch()
    except OSError:
        return False
    return True


def missing_licences() -> list[str]:
    """Texts that are not where THIRD_PARTY_LICENSES.md says."""
    ours = Path("/usr/share/doc/seqserve").resolve()
    packages = ours.parents[1]
    rows = re.findall(r"^\|.*\|([^|]*)\|$", (ours / "THIRD_PARTY_LICENSES.md").read_text(), re.M)
    texts = {text for cell in rows for text in re.findall(r"`([^`]+)`", cell)}
    found = {text for text in texts if (packages / text).exists() or (ours / text).exists()}
    return sorted(text for text in texts - found if not text.startswith("protobuf-"))


status = dict(
    line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
)
found = {
    "uid": os.getuid(),
    "capabilities": int(status["CapBnd"], 16),
    "no_new_privileges": int(status["NoNewPrivs"]),
    "writable": [folder for folder in FOLDERS if is_writable(folder)],
    "unwanted": [name for name in UNWANTED if importlib.util.find_spec(name)],
    "licences_missing": missing_licences(),
    "compilers": [name for name in COMPILERS if shutil.which(name)],
}
sys.stdout.write(json.dumps(found))
