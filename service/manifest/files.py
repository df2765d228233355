"""A bundle's files, read and held against what its manifest says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.errors import BundleError, UnreadableError
from service.manifest.manifest import SCHEMA_VERSION, Manifest
from service.manifest.parts import Precision
from service.reading import read_regular
from service.reasons import why, why_not

GRAPH_FILE = "model.onnx"
MANIFEST_FILE = "model.json"


def read_json(content: bytes) -> Any:
    """What a file says, all of whose texts can be written again.

    Raises:
        ValueError: It is not JSON, or escapes half of a character.
    """
    document = json.loads(content)
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start].encode("ascii", "backslashreplace").decode()
        raise ValueError(f"{half} is half of a character") from error
    return document


def read_document(folder: Path, sha256: str | None = None) -> dict[str, Any]:
    """What `model.json` of one version's folder says.

    Args:
        folder: `<model>/<version>`.
        sha256: That the file must have, if any: a signature's.

    Raises:
        BundleError: It is missing, or no JSON object; or it is another file than was signed.
    """
    try:
        content = read_regular(folder / MANIFEST_FILE)
        document = read_json(content)
    except OSError as error:
        raise UnreadableError(f"{MANIFEST_FILE} can't be read: {why(error)}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST_FILE} is not JSON: {why(error)}") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise BundleError(f"{MANIFEST_FILE} was changed after its signature was checked")
    if not isinstance(document, dict):
        raise BundleError(f"{MANIFEST_FILE} is not a JSON object")
    return document


def read_manifest(folder: Path) -> Manifest:
    """Read and check a bundle's `model.json`; see `read_document` and `check_manifest`."""
    return check_manifest(folder, read_document(folder))


def check_manifest(folder: Path, document: dict[str, Any]) -> Manifest:
    """Check what a bundle's `model.json` says.

    Raises:
        BundleError: It is from a newer schema, against the schema, or of another folder.
    """
    schema = document.get("schema_version")
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise BundleError(
            f"{MANIFEST_FILE} has schema_version {schema}; this server reads up to {SCHEMA_VERSION}"
        )
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        reasons = why_not(error, Manifest)
        raise BundleError(f"{MANIFEST_FILE} is not valid: {reasons}") from error
    if manifest.version != folder.name or manifest.name != folder.parent.name:
        raise BundleError(
            f"{MANIFEST_FILE} says {manifest.name}/{manifest.version}, "
            f"its folder says {folder.parent.name}/{folder.name}"
        )
    return manifest


def read_graph(folder: Path, manifest: Manifest, precision: Precision = "fp32") -> bytes:
    """Read the graph of a precision and hold it against the manifest's size and sha256.

    Raises:
        BundleError: The file is missing, truncated or tampered with.
        KeyError: The bundle has no such variant.
    """
    if precision == "fp32":
        file, size, sha256 = GRAPH_FILE, manifest.graph_bytes, manifest.sha256
    else:
        variant = manifest.variants[precision]
        file, size, sha256 = variant.file, variant.graph_bytes, variant.sha256
    return _read_verified(folder / file, size, sha256)


def _read_verified(path: Path, num_bytes: int, sha256: str) -> bytes:
    try:
        content = read_regular(path)
    except FileNotFoundError:
        raise BundleError(f"{path.name} is missing") from None
    except OSError as error:
        raise UnreadableError(f"{path.name} can't be read: {why(error)}") from error
    if len(content) != num_bytes:
        raise BundleError(f"{path.name} has {len(content)} bytes, the manifest says {num_bytes}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise BundleError(f"{path.name} has sha256 {digest}, the manifest says {sha256}")
    return content


def read_file(folder: Path, manifest: Manifest, name: str) -> bytes:
    """Read a file beside the graph and hold it against the manifest's size and sha256.

    Raises:
        BundleError: The manifest names none such, or it is missing or another.
    """
    entry = manifest.files.get(name)
    if entry is None:
        raise BundleError(f"{MANIFEST_FILE} names no file {name}")
    return _read_verified(folder / name, entry.num_bytes, entry.sha256)
