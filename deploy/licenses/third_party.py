"""Write THIRD_PARTY_LICENSES.md: whose work the wheel and the image carry, and under which licence.

From requirements.lock, the metadata of the packages as they are installed here, and parts.toml, of
what is compiled into them. `make lock` runs it; tests/deployment fails where the list is old.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
LIST = ROOT / "THIRD_PARTY_LICENSES.md"
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|thirdpartynotices)[^/]*$", re.IGNORECASE)

HEAD = """\
# Third-party licences

Seqserve itself is Apache-2.0 (`LICENSE`). This is what else its wheel and its image carry. Written
by `make lock` (`deploy/licenses/third_party.py`); do not edit.

## In the wheel, and so in the image

| what | version | where | licence | text |
|---|---|---|---|---|
"""
IMAGE_HEAD = """
## In the image alone

The packages of `requirements.lock`, and below each what is compiled into it. Texts lie where the
packages put them, under `/opt/seqserve/lib/python3.*/site-packages`. LGPL libraries are in
shared objects of their own: another build takes the file's place. (protobuf is taken out again.)
The base image's Debian packages have theirs in `/usr/share/doc`, as Seqserve has: `seqserve/`.

| what | version | licence | text |
|---|---|---|---|
"""


class UnknownLicenceError(Exception):
    """A package that is carried along and does not say under which terms."""


def locked() -> dict[str, str]:
    """Versions of the packages that the image installs, by name."""
    lines = (ROOT / "requirements.lock").read_text()
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lines, re.MULTILINE))


def licence_of(package: Distribution, told: dict[str, str]) -> str:
    """The licence of a package: as SPDX where its metadata has it so.

    Raises:
        UnknownLicenceError: Neither the metadata nor parts.toml tells.
    """
    metadata = package.metadata
    found = told.get(package.name) or metadata["License-Expression"] or metadata["License"]
    if not found:
        raise UnknownLicenceError(f"{package.name}: no licence in its metadata or in parts.toml")
    return str(found).splitlines()[0]


def texts_of(package: Distribution) -> list[str]:
    """The folder of a package's licences; where it has none, the files that look like some."""
    paths = [str(path) for path in package.files or [] if path.suffix != ".py"]
    standard = {f"{path.split('/licenses/')[0]}/licenses/" for path in paths if is_standard(path)}
    return sorted(standard) or sorted(path for path in paths if LICENCE_FILE.search(path))


def is_standard(path: str) -> bool:
    """Whether it lies where packages put their licences."""
    return ".dist-info/licenses/" in path


def ours(licence: str) -> str:
    """Where a text is that the package did not bring: an Apache licence's is ours, too."""
    return "`LICENSE`" if licence.startswith("Apache-2.0") else ""


def found_texts(package: Distribution, part: dict[str, Any]) -> list[str]:
    """Where the texts of a part of a package are.

    Raises:
        UnknownLicenceError: The package has no such file any more.
    """
    paths = [str(path) for path in package.files or []]
    found = []
    for text in part.get("texts", []):
        if (FOLDER / text).is_file():
            found.append(f"[below](#{Path(text).stem})")
            continue
        fitting = [path for path in paths if path == text or path.endswith(f"/{text}")]
        if not fitting:
            raise UnknownLicenceError(f"{package.name}: {text}, of parts.toml, is not in it")
        found.append(f"`{min(fitting, key=len)}`")
    return found or [ours(part["license"])]


def row(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |\n"


def wheel_rows(parts: list[dict[str, Any]]) -> str:
    """What is copied or compiled into the wheel."""
    swagger = re.search(
        r"swagger-ui-dist ([\d.]+\d)", (ROOT / "service/api/pages/README.md").read_text()
    )
    lines = []
    for part in parts:
        name = part["name"]
        version = distribution(part["distribution"]).version if "distribution" in part else ""
        if name == "Swagger UI" and swagger:
            version = swagger[1]
        texts = ", ".join(f"`{text}`" for text in part.get("texts", []))
        if "distribution" in part:
            texts = f"[below](#{name})"
        lines.append(row(name, version, part["within"], part["license"], texts))
    return "".join(lines)


def image_rows(parts: list[dict[str, Any]], told: dict[str, str]) -> str:
    """The packages of the lock, each followed by what is compiled into it.

    Raises:
        UnknownLicenceError: One does not say its licence, or brings no text and parts.toml none.
    """
    lines = []
    for name, version in locked().items():
        package = distribution(name)
        if package.version != version:
            raise UnknownLicenceError(f"{name} {version} is locked, {package.version} installed")
        licence = licence_of(package, told)
        texts = ", ".join(f"`{text}`" for text in texts_of(package)) or ours(licence)
        if not texts:
            raise UnknownLicenceError(f"{name}: brings no text of its licence")
        lines.append(row(package.name, version, licence, texts))
        for part in (part for part in parts if part["of"] == package.name):
            found = ", ".join(found_texts(package, part))
            lines.append(row(f"— {part['name']}", "", part["license"], found))
    return "".join(lines)


def written_out(parts: dict[str, Any]) -> str:
    """The texts that are nowhere else."""
    texts = {}
    for part in parts["wheel"]:
        if "distribution" in part:
            package = distribution(part["distribution"])
            (path,) = (path for path in package.files or [] if is_standard(str(path)))
            texts[part["name"]] = path.read_text()
    texts |= {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.txt"))}
    return "".join(f"\n## {name}\n\n```\n{text.strip()}\n```\n" for name, text in texts.items())


def render() -> str:
    """All of THIRD_PARTY_LICENSES.md.

    Raises:
        UnknownLicenceError: Something that is carried along has no licence, or no text of it.
    """
    parts = tomllib.loads((FOLDER / "parts.toml").read_text())
    tables = HEAD + wheel_rows(parts["wheel"])
    tables += IMAGE_HEAD + image_rows(parts["image"], parts["packages"])
    return tables + written_out(parts)


if __name__ == "__main__":
    LIST.write_text(render())
