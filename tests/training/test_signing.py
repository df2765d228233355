"""`python -m training key` and `sign`: what they make is what a server takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from service.origin.signatures import Signatures, load_keys
from tests.graphs.made import write_sum_bundle
from training.__main__ import main


def test_bundles_are_signed_by_a_made_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = str(tmp_path / "private.key"), str(tmp_path / "public.pem")
    main(["key", private, public])
    key_id = capsys.readouterr().out.strip()
    folders = [write_sum_bundle(tmp_path / "repository", name) for name in ("a", "b")]
    main(["sign", "--key", private, *map(str, folders)])
    assert capsys.readouterr().out.splitlines() == [
        f"{folder} is signed by {key_id}" for folder in folders
    ]
    signatures = Signatures(load_keys(Path(public)), required=True)
    assert all(signatures.check(folder) for folder in folders)
    with pytest.raises(SystemExit, match="no keys are made"):
        main(["key", private, public])


def test_keys_of_openssl_do_as_well(tmp_path: Path) -> None:
    private, public = tmp_path / "private.key", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    folder = write_sum_bundle(tmp_path / "repository", "a")
    main(["sign", "--key", str(private), str(folder)])
    assert Signatures(load_keys(public)).check(folder)


def test_what_is_no_key_or_no_bundle_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = tmp_path / "private.key", tmp_path / "public.pem"
    main(["key", str(private), str(public)])
    with pytest.raises(SystemExit):
        main(["sign", "--key", str(public), str(tmp_path)])
    assert "argument --key: " in capsys.readouterr().err
    with pytest.raises(SystemExit, match="is not signed: the bundle can't be read"):
        main(["sign", "--key", str(private), str(tmp_path / "nothing")])
