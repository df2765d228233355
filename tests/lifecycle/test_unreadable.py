"""What can't be read in a repository ends nothing: others serve, it is told and tried again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.manifest import GRAPH_FILE, MANIFEST_FILE
from service.repository.watching import Watcher
from tests.fakes import TIMEOUT_S
from tests.http.refusals import check_refusal
from tests.http.scrape import Scrape
from tests.lifecycle.asking import Asking, write_config, write_versions
from tests.servers import BOUND_BY_PERMISSIONS, Server, serving, wait_until

POLL_S = 0.05
DENIED = "permission denied to this process, which runs as uid"


@contextmanager
def watching(
    folder: Path, *closed: Path, ready: bool = True, poll_s: float = POLL_S
) -> Iterator[Server]:
    """A server that looks again and again, to which these paths are closed at first."""
    for path in closed:
        path.chmod(0)
    bound = BOUND_BY_PERMISSIONS
    try:
        with serving(
            folder, ready=ready, prefix=bound, calibration_ms=1, poll_repository_s=poll_s
        ) as server:
            yield server
    finally:
        for path in (folder, *closed):
            if path.exists():
                path.chmod(0o755)


def reason_of(server: Server, name: str) -> str:
    """What the index says of something that is no version of a model; empty if nothing."""
    entries = server.client.post("/v2/repository/index").json()
    found = [e["reason"] for e in entries if (e["name"], e["version"]) == (name, "")]
    return str(found[0]) if found else ""


def looks_well(server: Server) -> bool:
    """Whether the metrics say that all of the repository could be looked at."""
    return Scrape(server)("seqserve_repository_look_ok") == 1


def still_watches(folder: Path, server: Server) -> None:
    """Fail unless a model that comes now is served."""
    write_versions(folder, 1, name="new")
    wait_until(lambda: Asking(server, "new").states() == {"1": "READY"})


def test_an_unreadable_folder_is_told_once_and_serves_when_it_can_be_read(folder: Path) -> None:
    write_versions(folder, 1, name="closed")
    with watching(folder, folder / "closed") as server:
        assert Asking(server).answering() == "1"
        assert DENIED in reason_of(server, "closed")
        assert not looks_well(server)
        closed = Asking(server, "closed")
        check_refusal(closed.infer(), 503, "name", DENIED, code="model_not_ready")
        check_refusal(closed.load(), 400, "", DENIED, code="bundle_refused")
        server.wait_for_event("can't be looked at", name="closed")
        still_watches(folder, server)
        assert server.log.count("can't be looked at") == 1
        (folder / "closed").chmod(0o755)
        wait_until(lambda: closed.states() == {"1": "READY"})
        server.wait_for_event("is looked at again", name="closed")
        wait_until(lambda: looks_well(server))
        assert closed.answering() == "1"


def test_folders_that_are_none_of_ours_are_not_looked_into(folder: Path) -> None:
    others = [folder / name for name in ("lost+found", ".Trash-1000", "..data")]
    for other in others:
        other.mkdir()
    with watching(folder, *others) as server:
        still_watches(folder, server)
        assert looks_well(server)
        assert "can't be looked at" not in server.log


PARTS = {
    "folder": "1",
    "graph": f"1/{GRAPH_FILE}",
    "manifest": f"1/{MANIFEST_FILE}",
    "policy": "serving.json",
}
"""What of a model is closed, by the model's name."""


def write_parts(folder: Path) -> list[Path]:
    """A model for each, and where that part of it lies."""
    for name in PARTS:
        write_versions(folder, 1, name=name)
        write_config(folder, {}, name)
    return [folder / name / part for name, part in PARTS.items()]


def test_what_serves_goes_on_when_its_files_can_not_be_read_any_more(folder: Path) -> None:
    closed = write_parts(folder)
    with watching(folder) as server:
        every = [Asking(server, name) for name in PARTS]
        for path in closed:
            os.utime(path)
            path.chmod(0)
        wait_until(lambda: all(DENIED in each.index()["1"][1] for each in every))
        assert [each.answering() for each in every] == ["1"] * len(PARTS)
        still_watches(folder, server)
        for path in closed:
            path.chmod(0o755)
        wait_until(lambda: all(each.index() == {"1": ("READY", "")} for each in every))
        assert server.log.count("model refused") == len(PARTS)


def test_models_that_could_not_be_read_serve_once_they_can(folder: Path) -> None:
    closed = write_parts(folder)
    with watching(folder, *closed, ready=False) as server:
        every = [Asking(server, name) for name in PARTS]
        wait_until(lambda: all(DENIED in each.index().get("1", ("", ""))[1] for each in every))
        still_watches(folder, server)
        assert server.client.get("/v2/health/ready").status_code == 503
        assert server.log.count("model refused") == len(PARTS)
        for path in closed:
            path.chmod(0o755)
        server.wait_ready()
        assert [each.answering() for each in every] == ["1"] * len(PARTS)


def test_a_repository_that_can_not_be_listed_takes_nothing_away(folder: Path) -> None:
    with watching(folder) as server:
        asking = Asking(server)
        folder.chmod(0)
        wait_until(lambda: DENIED in reason_of(server, str(folder)))
        assert asking.answering() == "1"
        assert not looks_well(server)
        check_refusal(asking.load(), 400, "", "can't be looked at", DENIED, code="bundle_refused")
        folder.chmod(0o755)
        wait_until(lambda: looks_well(server))
        still_watches(folder, server)


def test_a_repository_that_goes_takes_nothing_away_and_comes_again(
    folder: Path, tmp_path: Path
) -> None:
    with watching(folder) as server:
        folder.rename(tmp_path / "elsewhere")
        wait_until(lambda: "there is no such" in reason_of(server, str(folder)))
        assert Asking(server).answering() == "1"
        (tmp_path / "elsewhere").rename(folder)
        still_watches(folder, server)


def test_a_repository_that_is_closed_at_the_start_serves_once_it_opens(folder: Path) -> None:
    write_versions(folder, 1, name="other")
    with watching(folder, folder, ready=False) as server:
        wait_until(lambda: DENIED in reason_of(server, str(folder)))
        assert server.client.get("/v2/health/ready").status_code == 503
        folder.chmod(0o755)
        server.wait_ready()
        assert Asking(server).answering() == Asking(server, "other").answering() == "1"


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def dangle(path: Path) -> None:
    path.symlink_to("nowhere")


def name_too_long(path: Path) -> None:
    path.symlink_to("x" * 256)


def pipe(path: Path) -> None:
    os.mkfifo(path)


ODD = {
    "loop": (loop, "its links lead in a circle"),
    "dangling": (dangle, "it is a link to nowhere, which is not there"),
    "long": (name_too_long, "file name too long"),
    "pipe": (pipe, ""),
}


@pytest.mark.parametrize("at_start", [True, False])
def test_what_is_no_folder_ends_nothing(folder: Path, at_start: bool) -> None:
    def make_all() -> None:
        for name, (make, _) in ODD.items():
            make(folder / name)

    if at_start:
        make_all()
    with watching(folder) as server:
        if not at_start:
            make_all()
        wait_until(lambda: all(why in reason_of(server, name) for name, (_, why) in ODD.items()))
        still_watches(folder, server)
        for name in ODD:
            (folder / name).unlink()
        wait_until(lambda: not any(reason_of(server, name) for name in ODD))
        assert Asking(server).answering() == "1"


def test_models_that_come_and_go_while_they_are_listed_end_no_watcher(folder: Path) -> None:
    enough = threading.Event()

    def come_and_go() -> None:
        place, away = folder / "fleeting", folder.parent / "fleeting"
        write_versions(folder.parent, 1, name="fleeting")
        while not enough.is_set():
            away.rename(place)
            place.rename(away)

    with watching(folder, poll_s=0.001) as server:
        mover = threading.Thread(target=come_and_go)
        mover.start()
        try:
            still_watches(folder, server)
        finally:
            enough.set()
            mover.join()
        write_versions(folder, 2)
        wait_until(lambda: Asking(server).answering() == "2")


def test_a_look_that_fails_in_whatever_way_is_not_the_last() -> None:
    looks, enough = [0], threading.Event()

    def look() -> None:
        looks[0] += 1
        if looks[0] > 2:
            enough.set()
        raise ValueError("of a bug")

    watcher = Watcher(0.001, look)
    assert enough.wait(TIMEOUT_S)
    watcher.close()
