"""A policy that can't be fulfilled changes nothing, however it comes; mended, it counts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.manifest import GRAPH_FILE
from tests.http.refusals import check_refusal
from tests.http.scrape import Scrape
from tests.lifecycle.asking import MODEL, Asking, write_config, write_versions
from tests.servers import Server, serving, wait_until

POLL_S = 0.05
POLICY = {"versions": {"specific": [1]}, "canary": {"version": "2", "weight": 0.0},
          "aliases": {"stable": "1"}}  # fmt: skip
BAD = 3  # a version whose graph is none


def naming(version: str, why: str) -> Iterator[tuple[str, tuple[Any, str]]]:
    """Every way to name a version that can't serve."""
    words = f"names version {version}, {why}"
    yield f"canary {version}", ({"canary": {"version": version, "weight": 0.1}}, words)
    yield f"shadow {version}", ({"shadow": {"version": version}}, words)
    yield f"alias {version}", ({"aliases": {"stable": version}}, words)
    yield f"specific {version}", ({"versions": {"specific": [1, version]}}, words)


WRONG: dict[str, tuple[Any, str]] = {
    **dict(naming("9", "which the repository does not have")),
    **dict(naming(str(BAD), "refused")),
    "weight": ({"canary": {"version": "2", "weight": 10}}, "canary.weight: must be at most 1"),
    "no weight": ({"canary": {"version": "2"}}, "canary.weight: is missing"),
    "true": ({"canary": {"version": "2", "weight": True}}, "canary.weight: must be a number"),
    "typo": ({"canaries": {"version": "2"}}, "canaries: is unknown; did you mean canary?"),
    "half": ('{"versions": {"latest": 1}, "cana', "serving.json is not JSON: "),
    "empty": ("", "serving.json is not JSON: it is empty"),
    "no text": (b"\xff\xff", "serving.json is not JSON: it is not UTF-8"),
}


def write(folder: Path, content: Any) -> None:
    path = folder / MODEL / "serving.json"
    if isinstance(content, dict):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def spoil(version: Path) -> None:
    (version / GRAPH_FILE).write_bytes(b"no graph")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good versions and a bad one."""
    folder = tmp_path_factory.mktemp("repository")
    write_versions(folder, 1, 2, BAD)
    spoil(folder / MODEL / str(BAD))
    write(folder, POLICY)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder, calibration_ms=1, poll_repository_s=POLL_S) as server:
        yield server


@pytest.fixture
def asking(folder: Path, server: Server) -> Asking:
    """As the good policy says, without a word against it."""
    asking = Asking(server)
    write(folder, POLICY)
    wait_until(lambda: all(not reason for reason in reasons(asking).values()))
    return asking


def reasons(asking: Asking) -> dict[str, str]:
    """Of the versions that serve."""
    return {v: reason for v, (state, reason) in asking.index().items() if state == "READY"}


def is_told(asking: Asking, words: str) -> None:
    """Return when every version that serves says so."""
    wait_until(lambda: all(words in reason for reason in reasons(asking).values()))


def serves_as_before(asking: Asking) -> None:
    assert reasons(asking).keys() == {"1", "2"}
    assert {asking.answering() for _ in range(20)} == {"1"}
    assert (asking.answering("stable"), asking.answering("2")) == ("1", "2")


@pytest.mark.parametrize("wrong", WRONG)
def test_by_looking_it_changes_nothing_and_is_told(
    folder: Path, server: Server, asking: Asking, wrong: str
) -> None:
    content, words = WRONG[wrong]
    write(folder, content)
    is_told(asking, words)
    serves_as_before(asking)
    refused = Scrape(server)("seqserve_model_refused", model=MODEL, version="1")
    assert refused == 1
    server.wait_ready()
    write(folder, POLICY)
    wait_until(lambda: set(reasons(asking).values()) == {""})
    assert Scrape(server)("seqserve_model_refused", model=MODEL, version="1") == 0
    serves_as_before(asking)


@pytest.mark.parametrize("wrong", [name for name, (it, _) in WRONG.items() if isinstance(it, dict)])
def test_by_a_request_it_changes_nothing_and_leaves_no_word(asking: Asking, wrong: str) -> None:
    content, words = WRONG[wrong]
    before = asking.index()
    response = asking.load(content)
    said = words.removeprefix("canary.weight").removeprefix("canaries")
    assert response.status_code == 400
    assert said in response.json()["error"], response.text
    assert asking.index() == before
    serves_as_before(asking)


def test_the_folder_of_a_version_that_is_named_goes_in_vain(
    folder: Path, tmp_path: Path, asking: Asking
) -> None:
    for version in ("1", "2"):
        (folder / MODEL / version).rename(tmp_path / version)
        is_told(asking, f"names version {version}, which the repository does not have")
        serves_as_before(asking)
        (tmp_path / version).rename(folder / MODEL / version)
        wait_until(lambda: set(reasons(asking).values()) == {""})


def test_a_trial_is_not_promoted_because_the_rule_goes(
    folder: Path, tmp_path: Path, asking: Asking
) -> None:
    write(folder, {"canary": {"version": "2", "weight": 0.0}})
    shutil.rmtree(folder / MODEL / str(BAD))
    wait_until(lambda: set(reasons(asking).values()) == {""} and "3" not in asking.index())
    (folder / MODEL / "1").rename(tmp_path / "1")
    is_told(asking, "there is no version but 2, on trial, to answer who names none")
    assert {asking.answering() for _ in range(20)} == {"1"}
    (tmp_path / "1").rename(folder / MODEL / "1")
    wait_until(lambda: set(reasons(asking).values()) == {""})


def start(folder: Path, config: dict[str, Any], *versions: int, bad: tuple[int, ...] = ()) -> None:
    write_versions(folder, *versions)
    write_config(folder, config)
    for version in bad:
        spoil(folder / MODEL / str(version))


def test_at_the_start_a_bad_trial_leaves_the_rule_alone(tmp_path: Path) -> None:
    start(tmp_path, {"canary": {"version": "2", "weight": 0.5}}, 1, 2, bad=(2,))
    with serving(tmp_path, calibration_ms=1) as server:
        asking = Asking(server)
        assert {asking.answering() for _ in range(20)} == {"1"}
        assert asking.states() == {"1": "READY", "2": "UNAVAILABLE"}


def test_at_the_start_a_trial_that_is_not_there_lets_none_be_taken_for_the_rule(
    tmp_path: Path,
) -> None:
    start(tmp_path, {"canary": {"version": "3", "weight": 0.1}}, 1, 2)
    with serving(tmp_path, calibration_ms=1, ready=False, poll_repository_s=POLL_S) as server:
        asking = Asking(server)
        wait_until(lambda: asking.states() == {"1": "UNAVAILABLE", "2": "UNAVAILABLE"})
        words = "serving.json can't be fulfilled: it names version 3, which the repository"
        check_refusal(asking.infer(), 503, "name", words, code="model_not_ready")
        assert server.client.get("/v2/health/ready").status_code == 503
        write_config(tmp_path, {"canary": {"version": "2", "weight": 0.0}})
        server.wait_ready()
        assert asking.answering() == "1"


def test_at_the_start_a_bad_rule_does_not_promote_the_trial(tmp_path: Path) -> None:
    start(tmp_path, {"canary": {"version": "2", "weight": 0.0}}, 1, 2, bad=(1,))
    with serving(tmp_path, calibration_ms=1, ready=False) as server:
        asking = Asking(server)
        wait_until(lambda: asking.states() == {"1": "UNAVAILABLE", "2": "READY"})
        check_refusal(asking.infer(), 503, "name", "has 8 bytes", code="model_not_ready")
        assert asking.answering("2") == "2"
        assert server.client.get("/v2/health/ready").status_code == 503
