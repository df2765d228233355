"""Which versions serve, who is led to which, and what is shown of the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.repository.routes import LEFT_OUT
from tests.http.refusals import check_refusal
from tests.lifecycle.asking import MODEL, Asking, write_config, write_versions
from tests.servers import serving

VERSIONS = (1, 2, 3, 10)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    folder = tmp_path_factory.mktemp("repository")
    write_versions(folder, *VERSIONS)
    with serving(folder, calibration_ms=1) as server:
        yield Asking(server)


@pytest.mark.parametrize(
    ("config", "served"),
    [
        ({}, ["10"]),
        ({"versions": {"latest": 2}}, ["3", "10"]),
        ({"versions": {"latest": 9}}, ["1", "2", "3", "10"]),
        ({"versions": "all"}, ["1", "2", "3", "10"]),
        ({"versions": {"specific": [1, 3]}}, ["1", "3"]),
        ({"version_policy": {"latest": {"num_versions": 2}}}, ["3", "10"]),
        ({"version_policy": {"all": {}}}, ["1", "2", "3", "10"]),
        ({"version_policy": {"specific": {"versions": [2]}}}, ["2"]),
        ({"aliases": {"stable": "1"}}, ["1", "10"]),
        ({"aliases": {"stable": 2}, "versions": {"specific": ["1"]}}, ["1", "2"]),
        ({"canary": {"version": "10", "weight": 0.0}}, ["3", "10"]),
        ({"shadow": {"version": "1", "share": 0.0}}, ["1", "10"]),
    ],
)
def test_a_policy_says_which_versions_serve(
    asking: Asking, config: dict[str, Any], served: list[str]
) -> None:
    response = asking.load(config)
    assert (response.status_code, response.content) == (200, b"")
    assert asking.versions() == served
    for version in served:
        assert asking.answering(version) == version
    for version in {*map(str, VERSIONS)} - {*served}:
        assert asking.index()[version] == ("UNAVAILABLE", LEFT_OUT)
        check_refusal(asking.infer(version), 404, "version", f"has no version '{version}'")


def test_who_names_no_version_gets_the_highest_that_is_not_on_trial(asking: Asking) -> None:
    for config, version in [
        ({"versions": "all"}, "10"),
        ({"versions": {"specific": [2, 1]}}, "2"),
        ({"versions": "all", "canary": {"version": "10", "weight": 0}}, "3"),
        ({"versions": "all", "shadow": {"version": "10", "share": 0}}, "3"),
        ({"versions": {"specific": [10]}, "canary": {"version": "10", "weight": 0}}, "10"),
    ]:
        assert asking.load(config).status_code == 200
        assert asking.answering() == version


def test_an_alias_stands_wherever_a_version_does(asking: Asking) -> None:
    assert asking.load({"aliases": {"stable": "1", "next": "3"}}).status_code == 200
    for _ in range(4):  # from the third on it is known by heart
        assert asking.answering("stable") == "1"
        assert asking.answering("next") == "3"
    path = f"/v2/models/{MODEL}/versions/stable"
    assert asking.client.get(path).json()["name"] == MODEL
    assert asking.client.get(f"{path}/ready").json() == {"name": MODEL, "ready": True}
    assert asking.load({"aliases": {"stable": "2"}}).status_code == 200
    assert asking.answering("stable") == "2"


def test_an_unknown_alias_is_refused_with_its_name(asking: Asking) -> None:
    assert asking.load({"aliases": {"stable": "1"}}).status_code == 200
    check_refusal(asking.infer("stabel"), 404, "version", "no version 'stabel'", "1, 10, stable")


@pytest.mark.parametrize(
    "config",
    [
        {"versions": {"specific": [1, 4]}},
        {"aliases": {"stable": 4}},
        {"canary": {"version": 4, "weight": 0.5}},
        {"shadow": {"version": 4}},
    ],
)
def test_a_version_that_is_not_there_is_refused_and_nothing_changes(
    asking: Asking, config: dict[str, Any]
) -> None:
    assert asking.load({"versions": {"latest": 2}, "aliases": {"stable": "1"}}).status_code == 200
    before = asking.index()
    response = asking.load(config)
    words = "version 4, which the repository does not have; there is 1, 2, 3, 10"
    check_refusal(response, 400, "", words, code="bundle_refused")
    assert asking.index() == before
    assert (asking.answering(), asking.answering("stable")) == ("10", "1")


@pytest.mark.parametrize(
    ("config", "field", "words"),
    [
        ({"backend": "onnxruntime"}, "backend", ["is unknown"]),
        ({"version": {"latest": 1}}, "version", ["is unknown; did you mean versions?"]),
        ({"versions": {"newest": 1}}, "versions.newest", ["is unknown"]),
        ({"versions": {"latest": 0}}, "versions.latest", ["must be at least 1, not 0"]),
        ({"versions": {"latest": 1, "specific": [1]}}, "versions", ["not several"]),
        ({"versions": {"specific": []}}, "versions.specific", ["at least 1"]),
        (
            {"version_policy": {"latest": {"count": 2}}},
            "version_policy.latest.count",
            ["is unknown"],
        ),
        ({"version_policy": {}}, "", ["one of latest, all and specific"]),
        ({"versions": "all", "version_policy": {"all": {}}}, "", ["give one"]),
        ({"aliases": {"2": "1"}}, "aliases.2", ["pattern"]),
        ({"aliases": {"stable": "latest"}}, "aliases.stable", ["number of a version, such as 1"]),
        ({"canary": {"version": "2", "weight": 1.5}}, "canary.weight", ["at most 1"]),
        ({"canary": {"version": "2", "weight": True}}, "canary.weight", ["must be a number"]),
        ({"shadow": {"share": 0.5}}, "shadow.version", ["is missing"]),
        (["versions"], "", ["must be an object"]),
    ],
)
def test_a_wrong_configuration_is_refused_by_its_field_and_changes_nothing(
    asking: Asking, config: Any, field: str, words: list[str]
) -> None:
    assert asking.load({"versions": {"latest": 2}}).status_code == 200
    before = asking.index()
    place = f"parameters.config.{field}".rstrip(".")
    check_refusal(asking.load(config), 400, place, *words)
    assert asking.index() == before


def test_serving_json_counts_unless_a_request_brings_its_own(tmp_path: Path) -> None:
    write_versions(tmp_path, 1, 2)
    write_config(tmp_path, {"versions": "all", "aliases": {"stable": "1"}})
    write_versions(tmp_path, 1, name="bad")
    write_config(tmp_path, {"version": "all"}, "bad")
    with serving(tmp_path, calibration_ms=1, strict_readiness=False) as server:
        asking, bad = Asking(server), Asking(server, "bad")
        assert asking.versions() == ["1", "2"]
        assert asking.answering("stable") == "1"
        state, reason = bad.index()["1"]
        assert state == "UNAVAILABLE"
        assert "serving.json is not valid: version: is unknown; did you mean" in reason
        check_refusal(bad.infer(), 503, "name", "serving.json", code="model_not_ready")
        assert asking.load({"versions": {"latest": 1}}).status_code == 200
        assert asking.versions() == ["2"]
        check_refusal(asking.infer("stable"), 404, "version", "'stable'")
        assert asking.load().status_code == 200
        write_config(tmp_path, {"aliases": 7})
        check_refusal(asking.load(), 400, "", "serving.json", "aliases", code="bundle_refused")
        assert asking.answering("stable") == "1"
