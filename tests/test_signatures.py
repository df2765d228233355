"""With trusted keys, a bundle serves only as it was signed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import BundleError
from service.manifest import GRAPH_FILE, MANIFEST_FILE, read_document
from service.origin.remote import RemoteFolder
from service.origin.signatures import Signatures, load_keys
from service.settings import Settings
from service.signature import SIGNATURE_FILE
from tests.graphs.made import sum_graph, write_sum_bundle, write_variant
from tests.http.made import change_manifest, copy_bundle
from tests.http.refusals import check_serving
from tests.servers import serving, wait_until

signing = pytest.importorskip(
    "training.signing", reason="cryptography is not installed", exc_type=ImportError
)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A private key, whose public one alone is trusted."""
    keys = tmp_path / "keys"
    keys.mkdir()
    signing.make_keys(keys / "private.key", keys / "public.pem")
    return keys / "private.key"


@pytest.fixture
def bundle(tmp_path: Path, private: Path) -> Path:
    """A signed one, with an int8 variant."""
    folder = write_sum_bundle(tmp_path / "repository", "sums")
    write_variant(folder, sum_graph())
    sign(folder, private)
    return folder


@pytest.fixture
def signatures(private: Path) -> Signatures:
    return Signatures(load_keys(private.parent))


def sign(folder: Path, private: Path) -> None:
    signing.sign_bundle(folder, signing.read_key(private))


def change_signature(folder: Path, **changes: Any) -> None:
    document = json.loads((folder / SIGNATURE_FILE).read_text())
    (folder / SIGNATURE_FILE).write_text(json.dumps({**document, **changes}))


def test_a_signed_bundle_is_taken_and_its_manifest_is_held_to_it(
    bundle: Path, signatures: Signatures
) -> None:
    sha256 = signatures.check(bundle)[MANIFEST_FILE]
    assert read_document(bundle, sha256)["name"] == "sums"
    change_manifest(bundle, family="changed between")
    with pytest.raises(BundleError, match="changed after its signature was checked"):
        read_document(bundle, sha256)


def flip(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return damage


def with_another_name(folder: Path) -> None:
    change_signature(folder, model="others")


def of_other_files(folder: Path) -> None:
    files = json.loads((folder / SIGNATURE_FILE).read_text())["files"]
    change_signature(folder, files=[{**file, "sha256": "0" * 64} for file in files])


def with_empty_signature(folder: Path) -> None:
    change_signature(folder, signature="")


def with_a_key_unknown(folder: Path) -> None:
    change_signature(folder, key_id="0" * 64)


def with_more_said(folder: Path) -> None:
    change_signature(folder, surprise=1)


def of_a_newer_schema(folder: Path) -> None:
    change_signature(folder, schema_version=2)


def with_an_extra_file(folder: Path) -> None:
    (folder / "extra.txt").write_text("x")


def with_a_folder(folder: Path) -> None:
    (folder / "extra").mkdir()


def with_a_link(folder: Path) -> None:
    (folder / GRAPH_FILE).rename(folder.parent / "elsewhere")
    (folder / GRAPH_FILE).symlink_to(folder.parent / "elsewhere")


def without_its_variant(folder: Path) -> None:
    (folder / "model.int8.onnx").unlink()


def not_json(folder: Path) -> None:
    (folder / SIGNATURE_FILE).write_text("{")


def as_a_folder(folder: Path) -> None:
    (folder / SIGNATURE_FILE).unlink()
    (folder / SIGNATURE_FILE).mkdir()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flip(GRAPH_FILE), "model.onnx is not what was signed"),
        (flip(MANIFEST_FILE), "model.json is not what was signed"),
        (flip("model.int8.onnx"), "model.int8.onnx is not what was signed"),
        (with_another_name, "did not sign it"),
        (of_other_files, "did not sign it"),
        (with_empty_signature, "did not sign it"),
        (with_a_key_unknown, "which is not trusted"),
        (with_more_said, "bundle.sig is not valid: surprise"),
        (of_a_newer_schema, "bundle.sig is not valid: schema_version"),
        (with_an_extra_file, "extra.txt is not signed"),
        (with_a_folder, "extra is no plain file"),
        (with_a_link, "model.onnx is no plain file"),
        (without_its_variant, "model.int8.onnx is missing"),
        (not_json, "bundle.sig is not valid"),
        (as_a_folder, "bundle.sig can't be read"),
    ],
)
def test_what_is_not_as_it_was_signed_is_refused_with_its_reason(
    bundle: Path, signatures: Signatures, damage: Callable[[Path], None], reason: str
) -> None:
    damage(bundle)
    with pytest.raises(BundleError) as refusal:
        signatures.check(bundle)
    assert reason in str(refusal.value)


@pytest.mark.parametrize("place", ["sums/2", "others/1"])
def test_a_signed_bundle_is_no_other_model_and_no_other_version(
    bundle: Path, signatures: Signatures, place: str
) -> None:
    folder = bundle.parent.parent / place
    shutil.copytree(bundle, folder)
    with pytest.raises(BundleError, match="it signs sums/1"):
        signatures.check(folder)


def test_a_bundle_signed_by_another_key_is_refused(
    bundle: Path, signatures: Signatures, tmp_path: Path
) -> None:
    signing.make_keys(tmp_path / "other.key", tmp_path / "other.pem")
    sign(bundle, tmp_path / "other.key")
    with pytest.raises(BundleError, match="which is not trusted"):
        signatures.check(bundle)
    shutil.copy(tmp_path / "other.pem", tmp_path / "keys")
    assert Signatures(load_keys(tmp_path / "keys")).check(bundle)
    assert Signatures(load_keys(tmp_path / "other.pem")).check(bundle)


def test_an_unsigned_bundle_is_refused_only_where_signatures_are_required(
    bundle: Path, signatures: Signatures
) -> None:
    (bundle / SIGNATURE_FILE).unlink()
    assert signatures.check(bundle) == {}
    with pytest.raises(BundleError, match=r"not signed: there is no bundle\.sig"):
        Signatures(signatures.keys, required=True).check(bundle)


def test_without_trusted_keys_no_signature_is_looked_at(bundle: Path) -> None:
    not_json(bundle)
    assert Signatures().check(bundle) == {}


def test_keys_that_are_none_are_refused_with_their_file(private: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"trusted_keys: .*private.key is no public key"):
        load_keys(private)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"trusted_keys: there is no \*\.pem in"):
        load_keys(tmp_path / "empty")
    with pytest.raises(ValueError, match="require_signature needs trusted_keys"):
        Settings(require_signature=True)


def test_no_key_is_overwritten_and_the_private_one_is_its_owners(private: Path) -> None:
    assert private.stat().st_mode & 0o777 == 0o600
    before = private.read_bytes()
    with pytest.raises(FileExistsError):
        signing.make_keys(private, private.with_name("new.pem"))
    assert private.read_bytes() == before


def test_a_copy_of_a_signed_remote_bundle_is_as_good(
    bundle: Path, signatures: Signatures, tmp_path: Path
) -> None:
    repository = bundle.parent.parent
    remote = RemoteFolder(repository.as_uri(), tmp_path / "cache", {})
    remote.refresh()
    assert signatures.check(remote.path / "sums" / "1") == signatures.check(bundle)
    with_an_extra_file(bundle)
    remote.refresh()
    with pytest.raises(BundleError, match=r"extra\.txt is not signed"):
        signatures.check(remote.path / "sums" / "1")


def test_a_server_serves_what_is_signed_and_says_why_not_the_rest(
    tmp_path: Path, private: Path
) -> None:
    repository = tmp_path / "repository"
    sign(copy_bundle("digits-lstm", repository), private)
    copy_bundle("digits-gru", repository)
    tampered = copy_bundle("digits-rnn", repository)
    sign(tampered, private)
    change_manifest(tampered, family="another")
    trust: dict[str, Any] = {
        "trusted_keys": private.with_name("public.pem"),
        "require_signature": True,
    }
    with serving(repository, ready=False, **trust) as server:

        def index() -> dict[str, Any]:
            entries = server.client.post("/v2/repository/index").json()
            return {entry["name"]: entry for entry in entries}

        wait_until(lambda: all(entry["state"] != "LOADING" for entry in index().values()))
        check_serving(server.client, "digits-lstm")
        assert "there is no bundle.sig" in index()["digits-gru"]["reason"]
        assert "model.json is not what was signed" in index()["digits-rnn"]["reason"]
