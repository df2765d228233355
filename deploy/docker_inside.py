"""Run inside the container by docker_test.py: prints what the process may do and import."""

from __future__ import annotations

import importlib.util
import json
import os
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


status = dict(
    line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
)
found = {
    "uid": os.getuid(),
    "capabilities": int(status["CapBnd"], 16),
    "no_new_privileges": int(status["NoNewPrivs"]),
    "writable": [folder for folder in FOLDERS if is_writable(folder)],
    "unwanted": [name for name in UNWANTED if importlib.util.find_spec(name)],
    "compilers": [name for name in COMPILERS if shutil.which(name)],
}
sys.stdout.write(json.dumps(found))
