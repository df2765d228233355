"""The fuzz target, for as long as a test may take."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.servers import CHECKOUT

SECONDS = 3


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this machine")
def test_no_bytes_are_more_than_refused(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    flags = [f"-max_total_time={SECONDS}", f"-artifact_prefix={tmp_path}/", "-max_len=4096"]
    fuzz = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.decoders", str(corpus), *flags],
        check=False,
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS + 60,
    )
    assert fuzz.returncode == 0, fuzz.stdout[-5_000:]
    assert "DONE" in fuzz.stdout, "it ended before it fuzzed"
