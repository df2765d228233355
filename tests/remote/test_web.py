"""A repository on a web server, found by the HTML indexes of its folders."""

from __future__ import annotations

import http.server
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.origin.remote import RemoteFolder
from tests.graphs.made import write_sum_bundle
from tests.http.made import copy_bundle
from tests.http.refusals import check_serving
from tests.remote.test_remote_folder import events_of, files_of
from tests.servers import serving

Web = tuple[str, Path]


def test_a_server_answers_from_a_web_server(web: Web, tmp_path: Path) -> None:
    url, folder = web
    copy_bundle("digits-lstm", folder)
    with serving(url, cache_dir=tmp_path / "cache") as server:
        check_serving(server.client, "digits-lstm")


@pytest.mark.parametrize("ending", ["", "/"])
def test_what_is_new_changed_or_gone_is_so_after_a_refresh(
    web: Web, tmp_path: Path, ending: str
) -> None:
    url, folder = web
    write_sum_bundle(folder / "models", "sums")
    remote = RemoteFolder(f"{url}/models{ending}", tmp_path / "cache", {})
    remote.refresh()
    assert events_of(remote) == []
    settings = folder / "models" / "sums" / "serving.json"
    settings.write_text("{}")
    write_sum_bundle(folder / "models", "others", offset=1.0)
    remote.refresh()
    assert files_of(remote.path) == files_of(folder / "models")
    settings.write_text('{"changed": true}')
    for file in (folder / "models" / "others" / "1").iterdir():
        file.unlink()
    remote.refresh()
    assert files_of(remote.path) == files_of(folder / "models")


def test_a_file_shorter_than_was_said_is_not_taken(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = web
    write_sum_bundle(folder, "sums")
    (folder / "sums" / "1" / "notes.txt").write_text("all of it")
    answer = http.server.SimpleHTTPRequestHandler.do_GET

    def do_get(handler: Any) -> None:
        if not handler.path.endswith("notes.txt"):
            answer(handler)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", "3")
        handler.end_headers()
        handler.wfile.write(b"all")

    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "do_GET", do_get)
    remote = RemoteFolder(url, tmp_path / "cache", {})
    with capture_logs() as logged:
        remote.refresh()
    assert "notes.txt has 3 bytes, the listing says 9" in logged[-1]["reason"]
    assert not list(remote.path.iterdir())
    monkeypatch.undo()
    remote.refresh()
    assert files_of(remote.path) == files_of(folder)
