"""The copy of a remote repository: what is new or changed comes, what is gone goes, as wholes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.manifest import GRAPH_FILE, MANIFEST_FILE
from service.origin.remote import RemoteFolder
from tests.graphs.made import write_sum_bundle


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The remote's files."""
    source = tmp_path / "source"
    write_sum_bundle(source, "sums")
    write_sum_bundle(source, "sums", version="2")
    return source


@pytest.fixture
def remote(tmp_path: Path, source: Path) -> RemoteFolder:
    return RemoteFolder(source.as_uri(), tmp_path / "cache", {})


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, through links, by its relative path."""
    return {
        str(Path(at, name).relative_to(folder)): Path(at, name).read_bytes()
        for at, _, names in os.walk(folder, followlinks=True)
        for name in names
    }


def events_of(remote: RemoteFolder) -> list[str]:
    """What a refresh logs."""
    with capture_logs() as logged:
        remote.refresh()
    return [entry["event"] for entry in logged]


def test_the_copy_is_the_remote_with_settings_of_models(remote: RemoteFolder, source: Path) -> None:
    (source / "sums" / "serving.json").write_text("{}")
    remote.refresh()
    assert files_of(remote.path) == files_of(source)


def test_what_did_not_change_is_not_copied_again(remote: RemoteFolder) -> None:
    assert events_of(remote) == ["remote bundle copied"] * 2
    assert events_of(remote) == []


def test_a_restarted_server_copies_nothing_again(
    remote: RemoteFolder, source: Path, tmp_path: Path
) -> None:
    remote.refresh()
    assert events_of(RemoteFolder(source.as_uri(), tmp_path / "cache", {})) == []


def test_what_is_new_comes_and_what_is_gone_goes(
    remote: RemoteFolder, source: Path, tmp_path: Path
) -> None:
    remote.refresh()
    shutil.rmtree(source / "sums" / "1")
    write_sum_bundle(source, "others")
    remote.refresh()
    assert sorted(path.name for path in remote.path.iterdir()) == ["others", "sums"]
    assert files_of(remote.path) == files_of(source)
    shutil.rmtree(source / "sums")
    remote.refresh()
    assert [path.name for path in remote.path.iterdir()] == ["others"]
    assert len(list((tmp_path / "cache" / "objects").iterdir())) == 1


def test_a_changed_version_replaces_the_old_one_whole(remote: RemoteFolder, source: Path) -> None:
    remote.refresh()
    old = (remote.path / "sums" / "2").resolve()
    shutil.rmtree(source / "sums" / "2")
    write_sum_bundle(source, "sums", version="2", offset=1.0)
    assert events_of(remote) == ["remote bundle copied"]
    assert files_of(remote.path) == files_of(source)
    assert (remote.path / "sums" / "2").resolve() != old
    assert not old.exists()


def cut(folder: Path) -> None:
    graph = folder / GRAPH_FILE
    graph.write_bytes(graph.read_bytes()[:100])


def flip(folder: Path) -> None:
    graph = folder / GRAPH_FILE
    graph.write_bytes(graph.read_bytes()[:-1] + b"\xff")


def upload_half(folder: Path) -> None:
    (folder / GRAPH_FILE).unlink()


@pytest.mark.parametrize("damage", [cut, flip, upload_half])
def test_a_version_that_is_not_as_its_manifest_says_does_not_replace_the_old_one(
    remote: RemoteFolder, source: Path, damage: Callable[[Path], None]
) -> None:
    remote.refresh()
    before = files_of(remote.path)
    for version in ("2", "3"):
        shutil.rmtree(source / "sums" / version, ignore_errors=True)
        damage(write_sum_bundle(source, "sums", version=version, offset=1.0))
    assert events_of(remote) == ["remote bundle not copied"] * 2
    assert files_of(remote.path) == before
    for version in ("2", "3"):
        shutil.rmtree(source / "sums" / version)
        write_sum_bundle(source, "sums", version=version, offset=1.0)
    remote.refresh()
    assert files_of(remote.path) == files_of(source)


def test_a_manifest_that_cant_be_read_is_left_to_the_loader(
    remote: RemoteFolder, source: Path
) -> None:
    (source / "sums" / "2" / MANIFEST_FILE).write_text('{"variants": [1]')
    remote.refresh()
    assert files_of(remote.path) == files_of(source)


def test_a_vanished_remote_leaves_its_copy(remote: RemoteFolder, source: Path) -> None:
    remote.refresh()
    before = files_of(remote.path)
    source.rename(source.with_name("moved"))
    assert events_of(remote) == ["remote repository can't be read, its copy serves"]
    assert files_of(remote.path) == before


def test_an_emptied_remote_leaves_its_copy(remote: RemoteFolder, source: Path) -> None:
    remote.refresh()
    shutil.rmtree(source / "sums")
    assert events_of(remote) == ["remote repository can't be read, its copy serves"]
    assert (remote.path / "sums" / "2").is_dir()


def test_a_folder_that_cant_be_listed_removes_nothing(
    remote: RemoteFolder, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    remote.refresh()
    before, listed = files_of(remote.path), LocalFileSystem.ls

    def ls(self: LocalFileSystem, path: str, **options: object) -> object:
        if path.endswith("/2"):
            raise ConnectionResetError("the network is gone")
        return listed(self, path, **options)

    monkeypatch.setattr(LocalFileSystem, "ls", ls)
    assert events_of(remote) == ["remote repository can't be read, its copy serves"]
    assert files_of(remote.path) == before


def test_no_remote_and_no_copy_is_an_error_with_the_url(tmp_path: Path) -> None:
    remote = RemoteFolder("file:///no/such/folder", tmp_path, {})
    with capture_logs() as logged:
        remote.refresh()
    assert [(entry["log_level"], entry["url"]) for entry in logged] == [
        ("error", "file:///no/such/folder")
    ]


def test_what_else_lies_there_is_not_copied(remote: RemoteFolder, source: Path) -> None:
    wanted = files_of(source)
    for extra in ("README.md", "sums/notes.txt", "sums/1/.hidden", "sums/1/a/b", "sums/01/x"):
        path = source / extra
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    remote.refresh()
    assert files_of(remote.path) == wanted


def test_a_file_named_like_a_version_is_a_file_of_its_version(
    remote: RemoteFolder, source: Path
) -> None:
    (source / "sums" / "1" / "1").write_text("x")
    remote.refresh()
    assert files_of(remote.path) == files_of(source)


def test_memory_is_a_remote_too(tmp_path: Path, source: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(source), "/of-a-test", recursive=True)
    remote = RemoteFolder("memory://of-a-test", tmp_path / "other-cache", {})
    remote.refresh()
    memory.rm("/of-a-test", recursive=True)
    assert files_of(remote.path) == files_of(source)
