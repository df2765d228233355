"""Where files lie on the server is told to admins alone, where there are keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from service.reasons import without_folders
from tests.any_onnx.made import linear
from tests.fakes import TIMEOUT_S
from tests.grpc.asking import GrpcServer, serving_grpc
from tests.lifecycle.asking import write_versions
from tests.security.keyring import Keyring

INDEX = "/inference.GRPCInferenceService/RepositoryIndex"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose models can't be read."""
    folder = tmp_path_factory.mktemp("where it lies") / "models"
    (folder / "piped" / "1").mkdir(parents=True)
    graph = linear(np.ones((4, 2), np.float32)).SerializeToString()
    (folder / "piped" / "1" / "model.onnx").write_bytes(graph)
    os.mkfifo(folder / "piped" / "serving.json")
    write_versions(folder, 1, name="other")
    (folder / "other" / "1" / "model.onnx").write_bytes(b"no graph")
    (folder / "linked").symlink_to("/elsewhere/on/this/machine")
    return folder


@pytest.fixture(scope="module")
def served(folder: Path, keyring: Keyring) -> Iterator[GrpcServer]:
    settings = {"api_keys": keyring.path, "strict_readiness": False}
    with serving_grpc(repository=folder, **settings) as server:
        yield server


def told(server: GrpcServer, keyring: Keyring, name: str) -> str:
    """All that a caller gets to read of the repository, over both protocols."""
    client, headers = server.process.client, keyring.of(name)
    texts = [client.post("/v2/repository/index", headers=headers).text]
    for model in ("piped", "other", "linked"):
        texts.append(client.get(f"/v2/models/{model}", headers=headers).text)
        path = f"/v2/models/{model}/infer"
        texts.append(client.post(path, headers=headers, json={"inputs": []}).text)
    texts.append(client.get("/v1/models", headers=headers).text)
    metadata = [("authorization", f"Bearer {keyring.tokens[name]}")]
    call = server.channel.unary_unary(INDEX)
    answer = call(b"", timeout=TIMEOUT_S, metadata=metadata)
    texts.append(str(service_pb2.RepositoryIndexResponse.FromString(answer)))
    return "\n".join(texts)


def test_who_is_no_admin_reads_no_path(served: GrpcServer, keyring: Keyring, folder: Path) -> None:
    seen = told(served, keyring, "asker")
    assert "/serving.json: it is no file" in seen
    assert "it is a link to machine" in seen
    for part in (str(folder), "where it lies", "/elsewhere", "this/machine"):
        assert part not in seen
    for part in (str(folder), "/elsewhere/on/this/machine"):
        assert part in told(served, keyring, "keeper")
        assert part in served.process.log


WITHOUT_PATHS = "<name>/<version>/model.onnx, 3 rows/s, a/b, https://host/path and ../up"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("unread: /srv/a b/m/serving.json: empty", "unread: m/serving.json: empty"),
        ("/srv/a b: there is no such file", "a b: there is no such file"),
        ("permission denied: '/var/lib/x.so', (/etc/y)", "permission denied: 'x.so', (y)"),
        (WITHOUT_PATHS, WITHOUT_PATHS),
    ],
)  # fmt: skip
def test_paths_go_and_nothing_else(reason: str, told: str) -> None:
    assert without_folders(reason, Path("/srv/a b")) == told
