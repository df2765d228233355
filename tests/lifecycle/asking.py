"""A model whose versions answer differently, and what one can ask of a server about it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.fakes import NUM_FEATURES
from tests.graphs.made import expected_sums, write_sum_bundle
from tests.http.payloads import tensor
from tests.servers import Server

MODEL = "sums"


def write_versions(repository: Path, *versions: int, name: str = MODEL, **faults: Any) -> None:
    """Versions of a model of sums, each of which adds its own number to every sum."""
    for version in versions:
        write_sum_bundle(
            repository, name, "cells", str(version), **{"offset": float(version), **faults}
        )


def write_config(repository: Path, document: dict[str, Any], name: str = MODEL) -> None:
    """The model's `serving.json`."""
    (repository / name / "serving.json").write_text(json.dumps(document))


def upload_of(folder: Path) -> dict[str, str]:
    """The parameters that bring all files of a model's folder."""
    return {
        f"file:{path.relative_to(folder).as_posix()}": base64.b64encode(path.read_bytes()).decode()
        for path in sorted(folder.glob("*/*"))
    }


class Asking:
    """Asks a server about its models.

    Args:
        server: That runs.
        model: The one that is asked about.
    """

    def __init__(self, server: Server, model: str = MODEL) -> None:
        self.client = server.client
        self.model = model

    def load(self, config: object = None, **parameters: Any) -> httpx.Response:
        """Load the model; `config` is a document."""
        if config is not None:
            parameters["config"] = json.dumps(config)
        path = f"/v2/repository/models/{self.model}/load"
        return self.client.post(path, json={"parameters": parameters})

    def unload(self) -> httpx.Response:
        """Unload it."""
        return self.client.post(f"/v2/repository/models/{self.model}/unload")

    def index(self) -> dict[str, tuple[str, str]]:
        """State and reason of each of its versions."""
        entries = self.client.post("/v2/repository/index").json()
        return {
            entry["version"]: (entry["state"], entry["reason"])
            for entry in entries
            if entry["name"] == self.model
        }

    def states(self) -> dict[str, str]:
        """The state of each of its versions."""
        return {version: state for version, (state, _) in self.index().items()}

    def infer(self, version: str | None = None, length: int = 3) -> httpx.Response:
        """The answer to a sequence of this length."""
        path = f"/v2/models/{self.model}"
        path += f"/versions/{version}/infer" if version else "/infer"
        return self.client.post(path, json={"inputs": [tensor("inputs", _steps(length)[None])]})

    def answering(self, version: str | None = None) -> str:
        """The version that answers who asks for this one, or none; held to its right answer."""
        return check_answer(self.infer(version))

    def versions(self) -> list[str]:
        """Those that its metadata lists."""
        listed: list[str] = self.client.get(f"/v2/models/{self.model}").json()["versions"]
        return listed


def check_answer(response: httpx.Response, length: int = 3) -> str:
    """The version that an answer says it is of, if it is the one that this version owes."""
    assert response.status_code == 200, response.text
    body = response.json()
    version: str = body["model_version"]
    wanted = [total + float(version) for total in expected_sums(_steps(length))]
    assert body["outputs"][0]["data"] == wanted, body
    return version


def _steps(length: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(length * NUM_FEATURES, dtype=np.float32).reshape(length, NUM_FEATURES)
