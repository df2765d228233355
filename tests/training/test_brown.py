"""The loader of the Brown corpus, on archives made of a few sentences in its format."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from training.data.texts.brown import (
    find_archive,
    load_brown,
    name_tags,
    read_archive,
    read_text,
    texts_digest,
)

TEXTS = {
    "ca01": "\n\n\tThe/at Fulton/np-tl County/nn-tl jury/nn said/vbd 1/2/cd ./.\n\n",
    "ca02": "".join(f"\tIt/pps said/vbd {number}/cd ./.\n" for number in range(9)),
    "ck01": "He/pps saw/vbd Bob's/np$ dog/nn ./.\n",
}


def make_archive(path: Path) -> Path:
    files = {**TEXTS, "README": "redistribution permitted", "cats.txt": "ca01 news"}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for name, body in files.items():
                zipped.writestr(f"brown/{name}", body)
        return path
    with tarfile.open(path, "w:gz") as tar:
        for name, body in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body.encode()))
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return make_archive(tmp_path / "brown.zip")


def test_the_first_nine_tenths_of_a_category_train(archive: Path) -> None:
    digest = texts_digest(read_archive(archive))
    dataset = load_brown("pos", archive=archive, sha256=digest)
    assert [len(dataset.train), len(dataset.test)] == [9, 1]
    first = dataset.train[0]
    assert first.words == ["The", "Fulton", "County", "jury", "said", "1/2", "."]
    assert first.tags == ["AT", "NP-TL", "NN-TL", "NN", "VBD", "CD", "."]
    assert dataset.test[0].words == ["It", "said", "8", "."]
    assert not dataset.has_spans
    both = load_brown("pos", ("news", "fiction"), archive=archive, sha256=digest)
    assert [len(both.train), len(both.test)] == [9, 2]
    assert both.test[1].words[0] == "He"


def test_names_are_runs_of_proper_nouns_and_titles(archive: Path) -> None:
    dataset = load_brown("names", archive=archive, sha256=texts_digest(read_archive(archive)))
    assert dataset.train[0].tags == ["O", "B-NAME", "I-NAME", "O", "O", "O", "O"]
    assert dataset.has_spans
    assert dataset.labels() == ["O", "B-NAME", "I-NAME"]


@pytest.mark.parametrize(
    ("tag", "is_name"),
    [
        ("NP", True), ("NP$", True), ("NPS$-TL", True), ("NP+BEZ", True), ("NP-HL", True),
        ("NN-TL", True), ("FW-NN-TL", True), ("NN-TL-HL", True), ("FW-NP", True), ("IN-TL", True),
        ("NN", False), ("NR", False), ("NN-HL", False), ("--", False), ("*-HL", False),
    ],
)  # fmt: skip
def test_which_parts_of_speech_are_of_a_name(tag: str, is_name: bool) -> None:
    assert name_tags([tag]) == ["B-NAME" if is_name else "O"]


def test_neighbours_are_one_name() -> None:
    tags = ["NP", "NP$", "NN-TL", "NN", "NP", ".", "NP"]
    assert name_tags(tags) == ["B-NAME", "I-NAME", "I-NAME", "O", "B-NAME", "O", "B-NAME"]


def test_a_word_ends_at_its_last_slash() -> None:
    assert read_text("and/or/cc\n\n") == [(["and/or"], ["CC"])]


def test_the_digest_is_of_the_texts_not_of_their_archive(tmp_path: Path, archive: Path) -> None:
    other = make_archive(tmp_path / "brown.tgz")
    assert read_archive(other) == read_archive(archive) == TEXTS
    with pytest.raises(ValueError, match="the texts have sha256"):
        load_brown("pos", archive=archive)


def test_an_unknown_category_is_refused_with_those_there_are(archive: Path) -> None:
    digest = texts_digest(read_archive(archive))
    with pytest.raises(ValueError, match="no category 'sport'; there are news, editorial"):
        load_brown("pos", ("sport",), archive=archive, sha256=digest)


def test_what_is_no_archive_of_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tgz").write_text("neither")
    with pytest.raises(ValueError, match=r"neither a \.tgz nor a \.zip"):
        read_archive(tmp_path / "text.tgz")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as zipped:
        zipped.writestr("README", "nothing else")
    with pytest.raises(ValueError, match="holds no texts"):
        read_archive(tmp_path / "empty.zip")


def test_the_archive_is_looked_for_before_it_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, cache = tmp_path / "given", tmp_path / "cache" / "seqserve"
    given.mkdir()
    cache.mkdir(parents=True)
    make_archive(cache / "brown.zip")
    monkeypatch.setenv("SEQSERVE_DATA_DIR", str(given))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    assert find_archive() == cache / "brown.zip"
    make_archive(given / "brown.zip")
    assert find_archive() == given / "brown.zip"
