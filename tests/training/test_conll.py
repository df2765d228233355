"""Tagged text in CoNLL's format, its span schemes, and what is wrong in a file."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.tagging.spans import spans_of
from training.data.reading import DataError
from training.data.texts.conll import load_conll, read_conll, to_conll
from training.data.texts.tagged import Sentence, marks_spans, to_bio

CONLL_2003 = """\
-DOCSTART- -X- -X- O

EU NNP I-NP I-ORG
rejects VBZ I-VP O

New NNP I-NP I-LOC
York NNP I-NP I-LOC
Boston NNP I-NP B-LOC
"""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_span_tags_of_any_scheme_are_read_as_bio(tmp_path: Path) -> None:
    train = write(tmp_path, "train.txt", CONLL_2003)
    iobes = "New\tB-LOC\nYork\tE-LOC\nBoston\tS-LOC\nis\tO\n"
    test = write(tmp_path, "test.txt", "\ufeff" + iobes.replace("\n", "\r\n"))
    dataset = load_conll(train, test, "cities")
    assert dataset.train == [
        (["EU", "rejects"], ["B-ORG", "O"]),
        (["New", "York", "Boston"], ["B-LOC", "I-LOC", "B-LOC"]),
    ]
    assert dataset.test == [(["New", "York", "Boston", "is"], ["B-LOC", "I-LOC", "B-LOC", "O"])]
    assert dataset.labels() == ["O", "B-LOC", "B-ORG", "I-LOC"]
    assert dataset.has_spans
    assert dataset.validation == []


def test_other_tags_stay_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, "pos.txt", "I\tB-2\nran\tVBD\n")
    dataset = load_conll(path, path, "pos", validation=path)
    assert dataset.train == dataset.validation == [(["I", "ran"], ["B-2", "VBD"])]
    assert not dataset.has_spans


def encode(spans: list[tuple[str, int]], gaps: list[int], scheme: str) -> list[str]:
    """Tags of spans (label, words) with so many words outside before each."""
    tags: list[str] = []
    before = ""
    for (label, size), gap in zip(spans, gaps, strict=False):
        tags += ["O"] * gap
        if scheme == "iobes":
            kinds = "S" if size == 1 else f"B{'I' * (size - 2)}E"
        elif scheme == "bilou":
            kinds = "U" if size == 1 else f"B{'I' * (size - 2)}L"
        elif scheme == "iob1":
            kinds = ("B" if not gap and before == label else "I") + "I" * (size - 1)
        else:
            kinds = "B" + "I" * (size - 1)
        tags += [f"{kind}-{label}" for kind in kinds]
        before = label
    return tags


SPANS = st.lists(st.tuples(st.sampled_from(["X", "Y"]), st.integers(1, 4)), max_size=6)
GAPS = st.lists(st.integers(0, 2), min_size=6, max_size=6)


@given(SPANS, GAPS, st.sampled_from(["bio", "iob1", "iobes", "bilou"]))
def test_every_scheme_says_the_same_spans(
    spans: list[tuple[str, int]], gaps: list[int], scheme: str
) -> None:
    tags = to_bio(encode(spans, gaps, scheme))
    assert tags == encode(spans, gaps, "bio")
    found = spans_of(tags)
    assert [(span.label, span.end - span.begin) for span in found] == spans
    assert all(a.end <= b.begin for a, b in itertools.pairwise(found))


def test_tags_of_classes_are_no_spans() -> None:
    assert marks_spans({"O", "I-X", "E-X"})
    assert not marks_spans({"O"})
    assert not marks_spans({"B-X", "I-X"})
    assert not marks_spans({"O", "NN", "B-X"})


WORDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=5)
SENTENCES = st.lists(
    st.lists(st.tuples(WORDS, st.sampled_from(["NN", "VB"])), min_size=1), min_size=1
)


@given(SENTENCES)
def test_a_file_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[tuple[str, str]]]
) -> None:
    made = [Sentence([w for w, _ in pairs], [t for _, t in pairs]) for pairs in sentences]
    path = write(tmp_path_factory.mktemp("conll"), "made.txt", to_conll(made))
    assert read_conll(path) == made


BAD: dict[str, tuple[str | bytes, str]] = {
    "one column": ("a\tNN\nb\n", r"bad\.txt, line 2: a word and its tag"),
    "no tag": ("a\t \n", "line 1: a word and its tag"),
    "nothing": ("\n\n", "holds no sentences"),
    "not text": (b"a\xff\x00", "is not UTF-8"),
    "one tag": ("a\tNN\nb\tNN\n", "all words have one tag"),
}


@pytest.mark.parametrize("which", BAD)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, which: str) -> None:
    content, words = BAD[which]
    path = write(tmp_path, "bad.txt", content)
    with pytest.raises(DataError, match=words):
        load_conll(path, path, "bad")
