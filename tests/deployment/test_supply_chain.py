"""What is installed is pinned by hash and audited, or said not to be; its licences are listed."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.servers import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
LOCKS = {
    "requirements.lock": PROJECT["project"]["dependencies"],
    "requirements-build.lock": PROJECT["build-system"]["requires"],
}
UNREACHABLE = os.environ | {
    "https_proxy": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
}


def pins(name: str) -> dict[str, str]:
    """The versions that a file pins, by name."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", (CHECKOUT / name).read_text(), re.MULTILINE)
    return {str(canonicalize_name(package)): version for package, version in found}


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(CHECKOUT / "deploy" / "licenses"))
    yield importlib.import_module("third_party")
    sys.modules.pop("third_party", None)


@pytest.mark.parametrize(("lock", "needed"), LOCKS.items())
def test_locks_have_what_is_asked_for_as_it_is_pinned(lock: str, needed: list[str]) -> None:
    locked, pinned = pins(lock), pins("constraints.txt")
    assert {name: pinned.get(name) for name in locked} == locked
    for line in needed:
        requirement = Requirement(line)
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier
    for stanza in re.split(r"^(?=[\w.-]+==)", (CHECKOUT / lock).read_text(), flags=re.MULTILINE)[
        1:
    ]:
        assert "--hash=sha256:" in stanza, stanza.splitlines()[0]


def test_the_image_installs_nothing_without_a_hash() -> None:
    """But for the wheel that it has just built, and what trains: torch has indexes of its own."""
    dockerfile = (CHECKOUT / "Dockerfile").read_text().replace("\\\n", " ")
    served = re.sub(
        r"^FROM build AS build-training.*?(?=^FROM )", "", dockerfile, flags=re.M | re.S
    )
    installs = re.findall(r"pip [^&\n]*?\b(?:install|wheel|download) [^&\n]*", served)
    assert len(installs) == 5
    for install in installs:
        is_locked = "--require-hashes" in install and "--only-binary :all:" in install
        assert is_locked or (
            "--no-deps" in install and re.search(r"--no-(index|build-iso)", install)
        )


def test_every_licence_is_listed(third_party: Any) -> None:
    listed = third_party.LIST.read_text()
    assert listed == third_party.render(), "run deploy/licenses/third_party.py"
    assert third_party.LIST.name in PROJECT["project"]["license-files"]
    for named in ("pybind11 | 3", "Swagger UI | 5", "libsndfile |", "libquadmath |", "numpy | 2"):
        assert re.search(rf"^\| (— )?{re.escape(named)}", listed, re.MULTILINE)


def test_what_does_not_tell_its_licence_is_not_carried(tmp_path: Path, third_party: Any) -> None:
    (tmp_path / "METADATA").write_text("Metadata-Version: 2.4\nName: mute\nVersion: 1\n")
    mute: Distribution = PathDistribution(tmp_path)
    with pytest.raises(third_party.UnknownLicenceError, match="mute: no licence"):
        third_party.licence_of(mute, {})
    with pytest.raises(third_party.UnknownLicenceError, match="not in it"):
        third_party.found_texts(mute, {"texts": ["GONE"], "license": "MIT"})


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CHECKOUT / "deploy" / script],
        env=UNREACHABLE | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def built() -> dict[Path, int]:
    """The files of the last release, and when they were written."""
    folder = CHECKOUT / "build" / "release"
    return {path: path.stat().st_mtime_ns for path in folder.glob("*")}


def test_a_release_that_cannot_be_audited_is_none_unless_it_is_said() -> None:
    before = built()
    refused = run("release.sh", SEQSERVE_UNAUDITED="")
    assert refused.returncode == 1
    assert "nothing was audited" in refused.stderr
    assert built() == before
    allowed = run("audit.sh", SEQSERVE_UNAUDITED="1")
    assert allowed.returncode == 0
    assert allowed.stdout.startswith("NOT AUDITED: ")


def test_the_bill_of_materials_says_whether_it_was_audited_and_what_is_inside() -> None:
    made = {"bom-ref": "root", "name": "seqserve"}
    environment = {
        "metadata": {"component": made},
        "components": [{"bom-ref": "soundfile==0", "name": "soundfile"}],
    }
    program = CHECKOUT / "deploy" / "licenses" / "bill.py"
    out = subprocess.run(
        [sys.executable, program, "NOT AUDITED: no"],
        input=json.dumps(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    bill = json.loads(out.stdout)
    assert {"name": "seqserve:audit", "value": "NOT AUDITED: no"} in bill["metadata"]["properties"]
    assert "Swagger UI" in [part["name"] for part in bill["metadata"]["component"]["components"]]
    inside = {part["name"] for part in bill["components"][0]["components"]}
    assert {"libsndfile", "libFLAC", "libmpg123"} <= inside
