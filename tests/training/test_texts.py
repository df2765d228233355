"""Labelled texts: a user's own in TSV, and the lines in fifteen languages."""

from __future__ import annotations

import bz2
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from training.data.reading import DataError
from training.data.texts.labelled import Labelled
from training.data.texts.languages import (
    LANGUAGES,
    file_of,
    find_folder,
    load_languages,
    read_descriptions,
    split,
)
from training.data.texts.tsv import load_tsv, read_tsv, to_tsv


def test_a_line_is_a_text_a_tab_and_a_label(tmp_path: Path) -> None:
    train, test = tmp_path / "train.tsv", tmp_path / "test.tsv"
    train.write_text("\ufeffgood film\tyes\r\n\nbad one\tno\n", newline="")
    test.write_text(to_tsv([Labelled("so so", "no")]))
    dataset = load_tsv(train, test, "films")
    assert dataset.train == [("good film", "yes"), ("bad one", "no")]
    assert dataset.test == [("so so", "no")]
    assert dataset.labels() == ["no", "yes"]


BAD = {
    "no tab": (b"a b\n", "line 1: a text, a tab and a label"),
    "two tabs": (b"a\tx\nb\tx\ty\n", "line 2: a text, a tab and a label"),
    "no label": (b"a\t\n", "line 1: a text"),
    "nothing": (b"\n", "holds no texts"),
    "not text": (b"\xff\tx\n", "is not UTF-8"),
    "one label": (b"a\tx\nb\tx\n", "all texts have one label"),
}


@pytest.mark.parametrize("which", BAD)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, which: str) -> None:
    content, words = BAD[which]
    path = tmp_path / "bad.tsv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_tsv(path, path, "bad")


def test_a_label_that_no_training_text_has_is_refused(tmp_path: Path) -> None:
    train, test = tmp_path / "train.tsv", tmp_path / "test.tsv"
    train.write_text("a\tx\nb\ty\n")
    test.write_text("a\tx\nb\tz\n")
    with pytest.raises(DataError, match="text 2: label 'z'"):
        load_tsv(train, test, "unseen")
    assert len(read_tsv(test)) == 2


def stanza(digest: str, language: str, line: str) -> str:
    name = digest.ljust(32, "0")
    return f"Package: x\nDescription-md5: {name}\nDescription-{language}: {line}\n more\n ."


def test_the_first_line_of_each_description_is_read() -> None:
    content = "\n\n".join(
        [stanza("0a", "pt_BR", "um  editor"), "Package: y", stanza("ff", "pt_BR", "um jogo")]
    )
    assert read_descriptions(content) == {"0a" + "0" * 30: "um editor", "ff" + "0" * 30: "um jogo"}


def test_a_package_is_in_one_part_and_a_line_in_one_language() -> None:
    texts = {
        "de": {"00": "Spiel", "19": "Editor", "1a": "Bild", "1b": "GIMP", "1c": "Bild"},
        "fr": {"00": "jeu", "1a": "image", "1b": "GIMP", "2a": "son"},
    }
    train, test = split(texts)
    assert test == [("Spiel", "de"), ("Editor", "de"), ("jeu", "fr")]
    assert train == [("Bild", "de"), ("image", "fr"), ("son", "fr")]
    train, test = split(texts, max_train=1, max_test=1)
    assert test == [("Spiel", "de"), ("jeu", "fr")]
    assert train == [("Bild", "de"), ("image", "fr")]


def make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for label, language in LANGUAGES.items():
        stanzas = [stanza(digest, language, f"{label} {digest}") for digest in ("00", "ff")]
        content = "\n\n".join(stanzas).encode()
        packed = lzma.compress(content) if language == "en" else bz2.compress(content)
        (folder / file_of(language)).write_bytes(packed)
    return folder


def test_every_language_has_its_file(tmp_path: Path) -> None:
    dataset = load_languages(make_folder(tmp_path / "files"))
    assert dataset.labels() == sorted(LANGUAGES)
    assert dataset.train == [(f"{label} ff", label) for label in LANGUAGES]
    assert dataset.test == [(f"{label} 00", label) for label in LANGUAGES]


@pytest.mark.parametrize(
    ("file", "pack"), [("Translation-fr.bz2", bz2.compress), ("Translation-en.xz", lzma.compress)]
)
def test_a_bad_file_is_named(tmp_path: Path, file: str, pack: Callable[[bytes], bytes]) -> None:
    folder = make_folder(tmp_path / "files")
    whole = pack(b"Package: x\n")
    for broken in (b"nothing", whole[:-9], pack(b"\xff")):
        (folder / file).write_bytes(broken)
        with pytest.raises(ValueError, match=re.escape(f"{file} can't be read")):
            load_languages(folder)
    (folder / file).write_bytes(whole)
    with pytest.raises(ValueError, match=re.escape(f"{file} holds no descriptions")):
        load_languages(folder)


def test_the_files_are_looked_for_before_they_are_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = make_folder(tmp_path / "cache" / "seqserve" / "debian-bookworm")
    monkeypatch.setenv("SEQSERVE_DATA_DIR", str(tmp_path / "given"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert find_folder() == cached
    given = make_folder(tmp_path / "given" / "debian-bookworm")
    assert find_folder() == given
