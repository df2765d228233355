"""Key pairs, and signatures of bundles by them."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from service.signature import describe_bundle, key_id_of, write_signature


def make_keys(private: Path, public: Path) -> str:
    """Write a new ed25519 key pair as PEM, the private one readable by its owner alone.

    Returns:
        The key's id.

    Raises:
        FileExistsError: A key is there already; none is overwritten.
    """
    key = Ed25519PrivateKey.generate()
    if public.exists():
        raise FileExistsError(f"{public} is there already")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    private.touch(mode=0o600, exist_ok=False)
    private.write_bytes(pem)
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return key_id_of(key.public_key())


def read_key(private: Path) -> Ed25519PrivateKey:
    """The private key of a PEM file.

    Raises:
        ValueError: It is none, encrypted, or not ed25519.
        OSError: It can't be read.
    """
    try:
        key = load_pem_private_key(private.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{private} is no unencrypted private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{private} is no ed25519 key")
    return key


def sign_bundle(folder: Path, key: Ed25519PrivateKey) -> str:
    """Sign every file of one version's folder, in `bundle.sig` beside them.

    Returns:
        The id of the key.

    Raises:
        BundleError: Something in it is no plain file, or can't be read.
    """
    bundle = describe_bundle(folder, key_id_of(key.public_key()))
    write_signature(folder, bundle, key.sign(bundle.canonical()))
    return bundle.key_id
