"""Which bundles may serve: those that a trusted key has signed, or any while no key is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import BundleError
from service.reading import read_regular
from service.signature import (
    SIGNATURE_FILE,
    Signature,
    SignedBundle,
    describe_bundle,
    key_id_of,
    read_signature,
)

if TYPE_CHECKING:  # an optional dependency
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclasses.dataclass(frozen=True)
class Signatures:
    """Checks the signatures of bundles.

    Args:
        keys: Trusted, by their id; without any, no signature is looked at.
        required: Refuse bundles without one.
    """

    keys: Mapping[str, Ed25519PublicKey] = dataclasses.field(default_factory=dict)
    required: bool = False

    def check(self, folder: Path) -> dict[str, str]:
        """Verify the signature of one version's folder.

        Returns:
            The signed sha256 of each of its files, to hold against what is read of it later; of a
            manifest above all, which has those of its graphs. Empty if it is unsigned and may be.

        Raises:
            BundleError: It may not, its signature is not by a trusted key, or its files are not
                exactly those signed.
        """
        if not self.keys:
            return {}
        signed = read_signature(folder)
        if signed is None:
            if self.required:
                raise BundleError(f"it is not signed: there is no {SIGNATURE_FILE}")
            return {}
        self._check_key(signed)
        found = describe_bundle(folder, signed.key_id)
        if found.canonical() != signed.canonical():
            raise BundleError(
                f"{SIGNATURE_FILE} is not of this bundle: {_difference(signed, found)}"
            )
        return {file.name: file.sha256 for file in found.files}

    def _check_key(self, signed: Signature) -> None:
        from cryptography.exceptions import InvalidSignature

        key = self.keys.get(signed.key_id)
        if key is None:
            raise BundleError(f"{SIGNATURE_FILE} is by key {signed.key_id}, which is not trusted")
        try:
            key.verify(signed.signature, signed.canonical())
        except InvalidSignature as error:
            raise BundleError(
                f"{SIGNATURE_FILE} is wrong: key {signed.key_id} did not sign it"
            ) from error


UNCHECKED = Signatures()


def _difference(signed: SignedBundle, found: SignedBundle) -> str:
    """In words, what a folder has that the signature does not have, or the other way round."""
    names = [f"{bundle.model}/{bundle.version}" for bundle in (signed, found)]
    if names[0] != names[1]:
        return f"it signs {names[0]}"
    wanted, there = ({file.name: file for file in bundle.files} for bundle in (signed, found))
    for name in sorted(wanted.keys() | there.keys()):
        if name not in there:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} is not signed"
        if wanted[name] != there[name]:
            return f"{name} is not what was signed"
    return "its files are not in order"


def load_keys(trusted: Path) -> dict[str, Ed25519PublicKey]:
    """The public keys of a PEM file, or of all `*.pem` of a folder, by their id.

    Raises:
        ValueError: There is none, one is no ed25519 public key, or `cryptography` is missing.
        OSError: One can't be read.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise ValueError(f"trusted_keys: {error}; it takes seqserve[signing]") from error

    keys = {}
    for file in sorted(trusted.glob("*.pem")) if trusted.is_dir() else [trusted]:
        try:
            key = load_pem_public_key(read_regular(file))
        except ValueError as error:
            raise ValueError(f"trusted_keys: {file} is no public key in PEM") from error
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError(f"trusted_keys: {file} is no ed25519 key")
        keys[key_id_of(key)] = key
    if not keys:
        raise ValueError(f"trusted_keys: there is no *.pem in {trusted}")
    return keys
