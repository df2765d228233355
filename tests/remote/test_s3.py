"""A repository in S3: a real server of its protocol, and one of models that reads from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.origin.remote import RemoteFolder
from tests.graphs.made import sum_graph, write_sum_bundle
from tests.http.made import copy_bundle
from tests.http.refusals import check_serving
from tests.remote.s3 import PASSWORD, S3, USER, free_port
from tests.servers import serving, wait_until


def test_a_server_answers_from_a_bucket_and_later_from_its_copy(s3: S3, tmp_path: Path) -> None:
    url = s3.make_bucket("served")
    lstm = copy_bundle("digits-lstm", tmp_path / "source")
    s3.upload(url, lstm)
    cache: dict[str, Any] = {"cache_dir": tmp_path / "cache"}
    with serving(url, **s3.settings, **cache) as server:
        check_serving(server.client, "digits-lstm")
    assert PASSWORD not in server.log
    s3.upload(url, copy_bundle("digits-gru", tmp_path / "source"))
    s3.remove(url, *(f"digits-lstm/1/{file.name}" for file in lstm.iterdir()))
    with serving(url, workers=2, **s3.settings, **cache) as server:
        check_serving(server.client, "digits-gru")
        assert [entry["name"] for entry in server.client.post("/v2/repository/index").json()] == [
            "digits-gru"
        ]
    at_once = {"config_kwargs": {"retries": {"max_attempts": 0}}}
    endpoint = {"endpoint_url": f"http://127.0.0.1:{free_port()}"}
    gone = json.dumps(s3.options | endpoint | at_once)
    with serving(url, repository_options=gone, **cache) as server:
        check_serving(server.client, "digits-gru")
        warning = server.wait_for_event("remote repository can't be read, its copy serves")
        assert (warning["level"], warning["url"]) == ("warning", url)
    assert PASSWORD not in server.log


def test_a_server_without_bucket_and_copy_is_not_ready_and_says_the_url(
    s3: S3, tmp_path: Path
) -> None:
    url = "s3://nobody-made-it/models"
    with serving(url, ready=False, cache_dir=tmp_path, **s3.settings) as server:
        error = server.wait_for_event(
            "remote repository can't be read, and there is no copy of it", url=url
        )
        assert "The specified bucket does not exist" in error["reason"]
        wait_until(lambda: server.client.get("/v2/health/live").status_code == 200)
        assert server.client.get("/v2/health/ready").status_code == 503


def test_credentials_come_from_the_environment(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = s3.make_bucket("private")
    s3.upload(url, copy_bundle("digits-lstm", tmp_path / "source"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    endpoint = json.dumps({"endpoint_url": s3.endpoint})
    with serving(url, repository_options=endpoint, cache_dir=tmp_path / "cache") as server:
        check_serving(server.client, "digits-lstm")
    assert PASSWORD not in server.log


def test_a_changed_object_comes_with_the_next_refresh(s3: S3, tmp_path: Path) -> None:
    url = s3.make_bucket("changing")
    s3.upload(url, write_sum_bundle(tmp_path / "old", "sums"))
    remote = RemoteFolder(url, tmp_path / "cache", s3.options)
    remote.refresh()
    new = write_sum_bundle(tmp_path / "new", "sums", offset=1.0)
    s3.put(url, "sums/1/model.onnx", (new / "model.onnx").read_bytes())
    remote.refresh()
    assert (remote.path / "sums/1/model.onnx").read_bytes() == sum_graph()  # half an upload
    s3.put(url, "sums/1/model.json", (new / "model.json").read_bytes())
    remote.refresh()
    assert (remote.path / "sums/1/model.onnx").read_bytes() == sum_graph(offset=1.0)


def test_keys_that_lead_elsewhere_are_refused(s3: S3, tmp_path: Path) -> None:
    url = s3.make_bucket("tricks")
    s3.upload(url, write_sum_bundle(tmp_path / "source", "sums"))
    for key in ("../x", "../../up/1/x", "sums/../1/x", "sums/1/..", "sums/1/../../../x", "/1/x",
                "/etc/1/x", "//x", "a\\..\\b/1/x", "sums/1/%2e%2e", "sums/-1/x",
                ".hidden/1/x", "sums/1/..\\x", "sums/serving.json/../x"):  # fmt: skip
        s3.put(url, key, b"evil")
    remote = RemoteFolder(url, tmp_path / "cache" / "deep", s3.options)
    with capture_logs() as logged:
        remote.refresh()
    refused = [entry["key"] for entry in logged if entry["event"] == "remote key refused"]
    assert set(refused) == {"../x", "sums/1/.."}  # the rest lies too deep, or is no bundle
    written = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert sorted(path.name for path in written) == ["lock", "model.json", "model.onnx"]
    assert [path.name for path in remote.path.iterdir()] == ["sums"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "source"]


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://user:hidden@127.0.0.1:{port}/x?token=hidden", {}),
        ("s3://bucket/x", {"endpoint_url": "hidden", "key": "a-key", "secret": "hidden"}),
    ],
)
def test_a_secret_is_in_no_message(tmp_path: Path, url: str, options: dict[str, str]) -> None:
    remote = RemoteFolder(url.format(port=free_port()), tmp_path, options)
    with capture_logs() as logged:
        remote.refresh()
    assert [entry["log_level"] for entry in logged] == ["error"]
    assert "hidden" not in str(logged)
