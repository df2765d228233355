"""The examples of `docs/protocol.md` do what they are there for, as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.servers import CHECKOUT, Server

TEXT = (CHECKOUT / "docs" / "protocol.md").read_text()
EXAMPLES = re.findall(r"```(sh|python)\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}


def test_there_are_some_of_every_kind() -> None:
    whole = "".join(example for _, example in EXAMPLES)
    assert all(client in whole for client in ("tritonclient", "httpx", "curl"))


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_an_example_is_answered(server: Server, tmp_path: Path, kind: str, example: str) -> None:
    address = server.base_url.removeprefix("http://")
    example = example.replace("127.0.0.1:8000", address)
    done = subprocess.run(
        [*COMMANDS[kind], example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = done.stdout + "".join(path.read_text("latin-1") for path in tmp_path.iterdir())
    assert written.strip()
    assert "error" not in written.replace("log_error", "")


def test_every_extension_that_is_named_is_told_of(client: httpx.Client) -> None:
    told = {
        "binary_tensor_data": "`binary_tensor_data`",
        "classification": "`classification: k`",
        "logging": "`GET`, `POST /v2/logging`",
        "model_configuration": "`GET …/config`",
        "model_repository": "`POST /v2/repository/models/{name}/load`",
        "parameters": "`parameters` are flat",
        "schedule_policy": "`priority`",
        "statistics": "`GET …/stats`",
    }
    for extension in client.get("/v2").json()["extensions"]:
        if extension in told:  # others have a document of their own
            assert told[extension] in TEXT
