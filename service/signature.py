"""The contract of `bundle.sig`: who vouches for which files of a bundle.

Owned by its reader, the service; `python -m training sign` writes it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from service.errors import BundleError, UnreadableError
from service.reading import read_regular
from service.reasons import why, why_not

if TYPE_CHECKING:  # an optional dependency
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE_FILE = "bundle.sig"
MAX_SIGNATURE_BYTES = 1 << 20

Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class SignedFile(BaseModel):
    """A file, by its content."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    size: int = Field(ge=0, description="bytes")
    sha256: str = Sha256


class SignedBundle(BaseModel):
    """What is signed: every file of this version of this model, `bundle.sig` alone left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    key_id: str = Sha256
    model: str
    version: str
    files: list[SignedFile]

    def canonical(self) -> bytes:
        """The bytes that the signature is over: JSON, keys sorted, no spaces, ASCII alone."""
        document = self.model_dump(include=set(SignedBundle.model_fields))
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


class Signature(SignedBundle):
    """`bundle.sig`, schema 1."""

    signature: Base64Bytes = Field(description="ed25519, of `canonical()`")


def describe_bundle(folder: Path, key_id: str) -> SignedBundle:
    """What there is to sign in one version's folder.

    Raises:
        BundleError: Something in it is no plain file, or can't be read.
    """
    files = []
    try:
        for path in sorted(folder.iterdir()):
            if path.name == SIGNATURE_FILE:
                continue
            if path.is_symlink() or not path.is_file():
                raise BundleError(f"{path.name} is no plain file: it can't be signed")
            content = read_regular(path)
            sha256 = hashlib.sha256(content).hexdigest()
            files.append(SignedFile(name=path.name, size=len(content), sha256=sha256))
    except OSError as error:
        raise UnreadableError(f"the bundle can't be read: {why(error)}") from error
    return SignedBundle(key_id=key_id, model=folder.parent.name, version=folder.name, files=files)


def read_signature(folder: Path) -> Signature | None:
    """The folder's `bundle.sig`, None if it has none.

    Raises:
        BundleError: It is not as the schema says.
    """
    try:
        content = read_regular(folder / SIGNATURE_FILE, MAX_SIGNATURE_BYTES)
        return Signature.model_validate_json(content)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableError(f"{SIGNATURE_FILE} can't be read: {why(error)}") from error
    except ValidationError as error:
        reasons = why_not(error, Signature)
        raise BundleError(f"{SIGNATURE_FILE} is not valid: {reasons}") from error


def write_signature(folder: Path, bundle: SignedBundle, signature: bytes) -> None:
    """Write `bundle.sig` into the folder of what it signs."""
    document = bundle.model_dump() | {"signature": base64.b64encode(signature).decode()}
    (folder / SIGNATURE_FILE).write_text(json.dumps(document, indent=2) + "\n")


def key_id_of(key: Ed25519PublicKey) -> str:
    """The sha256 of the key's 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()
