"""A watched folder: what comes is served once it is whole, what changes anew, what goes no more."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.app import bounds_of
from service.engine.engine import Engine
from service.manifest import GRAPH_FILE, MANIFEST_FILE
from service.repository.changes import Load, Unload
from service.repository.repository import Repository
from service.repository.watching import Changes
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.fakes import TIMEOUT_S
from tests.lifecycle.asking import MODEL, Asking, write_config, write_versions
from tests.servers import Server, serving, wait_until

POLL_S = 0.05


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serving(folder, calibration_ms=1, poll_repository_s=POLL_S) as server:
        yield server


def test_versions_come_change_and_go_with_their_files(
    folder: Path, tmp_path: Path, server: Server
) -> None:
    asking = Asking(server)
    assert asking.answering() == "1"
    write_versions(tmp_path, 2)
    shutil.copytree(tmp_path / MODEL / "2", folder / MODEL / "2")
    wait_until(lambda: asking.answering() == "2")
    write_config(folder, {"versions": "all", "aliases": {"stable": "1"}})
    wait_until(lambda: asking.states() == {"1": "READY", "2": "READY"})
    assert asking.answering("stable") == "1"
    shutil.rmtree(folder / MODEL / "2")
    wait_until(lambda: asking.states() == {"1": "READY"})
    assert asking.answering() == "1"
    shutil.rmtree(folder / MODEL)
    wait_until(lambda: asking.states() == {})
    assert asking.infer().status_code == 404


def test_a_new_model_serves_and_a_changed_one_is_loaded_anew(folder: Path, server: Server) -> None:
    other = Asking(server, "other")
    write_versions(folder, 1, name="other")
    wait_until(lambda: other.states() == {"1": "READY"})
    assert other.answering() == "1"
    manifest = folder / "other" / "1" / MANIFEST_FILE
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "family": "changed"}))

    def families() -> set[str]:
        return {model["family"] for model in server.client.get("/v1/models").json()["models"]}

    wait_until(lambda: "changed" in families())


def test_a_bad_version_is_shown_once_and_taken_up_when_it_is_mended(
    folder: Path, tmp_path: Path, server: Server
) -> None:
    asking = Asking(server)
    write_versions(tmp_path, 2)
    good = tmp_path / MODEL / "2"
    shutil.copytree(good, tmp_path / "bad")
    (tmp_path / "bad" / GRAPH_FILE).write_bytes(b"no graph")
    (tmp_path / "bad").rename(folder / MODEL / "2")
    wait_until(lambda: asking.states().get("2") == "UNAVAILABLE")
    assert "has 8 bytes" in asking.index()["2"][1]
    assert asking.answering() == "1"
    shutil.copyfile(good / GRAPH_FILE, folder / MODEL / "2" / GRAPH_FILE)
    wait_until(lambda: asking.states().get("2") == "READY")
    assert asking.answering() == "2"
    assert server.log.count("model refused") == 1


def test_a_change_is_over_when_two_looks_find_the_same() -> None:
    changes: Changes[str] = Changes()
    changes.applied("m", "a")
    looks = ["a", "b", "c", "c", "c"]
    assert [changes.is_over("m", look) for look in looks] == [False, False, False, True, True]
    changes.applied("m", "c")
    assert not changes.is_over("m", "c")
    assert not changes.is_over("m", "a"), "back again, but perhaps not for long"
    assert changes.is_over("m", "a")
    assert not changes.is_over("new", "x")
    assert changes.is_over("new", "x")


class ByHand:
    """A repository whose looks the test decides."""

    def __init__(self, folder: Path, refresh: Callable[[], dict[str, str]] = dict) -> None:
        self.engine, metrics = Engine(1), Metrics()
        bounds = bounds_of(Settings(calibration_ms=1))
        self.repository = Repository(folder, self.engine, metrics, bounds, refresh=refresh)
        self.repository.start()
        assert self.repository._scanned.wait(TIMEOUT_S)

    def look(self) -> dict[str, str]:
        """Look once; the states of the model's versions then."""
        self.repository._look()
        return {e.version: e.state for e in self.repository.index() if e.name == MODEL}

    def close(self) -> None:
        self.repository.close()
        self.engine.close()


@pytest.fixture
def by_hand(folder: Path) -> Iterator[ByHand]:
    made = ByHand(folder)
    yield made
    made.close()


def test_a_version_that_is_half_written_is_not_judged(
    folder: Path, tmp_path: Path, by_hand: ByHand
) -> None:
    write_versions(tmp_path, 2)
    whole, growing = tmp_path / MODEL / "2", folder / MODEL / "2"
    graph = (whole / GRAPH_FILE).read_bytes()
    growing.mkdir()
    for size in (0, 10, len(graph) // 2, len(graph)):
        (growing / GRAPH_FILE).write_bytes(graph[:size])
        assert by_hand.look() == {"1": "READY"}
    shutil.copyfile(whole / MANIFEST_FILE, growing / MANIFEST_FILE)
    assert by_hand.look() == {"1": "READY"}
    assert by_hand.look() == {"1": "UNAVAILABLE", "2": "READY"}


def test_an_unloaded_model_stays_so_whatever_comes(folder: Path, by_hand: ByHand) -> None:
    by_hand.repository.apply(Unload(MODEL)).result(TIMEOUT_S)
    write_versions(folder, 2)
    for _ in range(3):
        assert set(by_hand.look().values()) == {"UNAVAILABLE"}
    by_hand.repository.apply(Load(MODEL)).result(TIMEOUT_S)
    assert by_hand.look() == {"1": "UNAVAILABLE", "2": "READY"}


def test_the_folder_is_brought_up_to_date_before_each_look(folder: Path, tmp_path: Path) -> None:
    write_versions(tmp_path, 2)
    synced = [0]

    def refresh() -> dict[str, str]:
        synced[0] += 1
        if synced[0] == 2:
            shutil.copytree(tmp_path / MODEL / "2", folder / MODEL / "2")
        if synced[0] == 4:
            raise ConnectionError("the network is down")
        return {}

    by_hand = ByHand(folder, refresh)
    try:
        assert by_hand.look() == {"1": "READY"}
        assert by_hand.look() == {"1": "UNAVAILABLE", "2": "READY"}
        assert by_hand.look() == {"1": "UNAVAILABLE", "2": "READY"}, "though it failed"
        assert synced == [4]
    finally:
        by_hand.close()


def test_a_server_without_polling_looks_at_nothing(folder: Path) -> None:
    with serving(folder, calibration_ms=1) as server:
        asking = Asking(server)
        write_versions(folder, 2)
        time.sleep(4 * POLL_S)  # nothing is to happen: there is no event to wait for
        assert asking.states() == {"1": "READY"}
