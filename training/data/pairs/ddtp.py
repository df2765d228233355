"""Short descriptions of Debian's packages, English to French: the Debian Description Translation
Project, out of apt's own index.

A stanza of the index says which description it is by the MD5 of the English one. The files are
`Packages` and `Translation-fr`; where no folder has them, apt itself fetches them into the user's
cache, with lists of its own, so that the system's stay as they are.
"""

from __future__ import annotations

import re
import subprocess
import unicodedata
from pathlib import Path

from training.data.fetching import given_or_cached
from training.data.pairs.pairs import Pair, Pairs, parts

FOLDER = "ddtp"
ENGLISH, FRENCH = "Packages", "Translation-fr"
LICENCE = "as the packages described, all free; Debian Description Translation Project"
NUM_TEST, NUM_VALIDATION = 1_000, 500


def load_ddtp() -> Pairs:
    """English to French, parted by the English text.

    Raises:
        ValueError: The index has too few pairs.
        OSError: No index is at hand, and apt is not there or fetches none.
    """
    folder = given_or_cached(FOLDER)
    if not (folder / FRENCH).exists():
        fetch(folder)
    pairs = join((folder / ENGLISH).read_text("utf-8"), (folder / FRENCH).read_text("utf-8"))
    train, validation, test = parts(pairs, NUM_TEST, NUM_VALIDATION)
    words = f"{NUM_TEST:,} texts of all, drawn with a fixed seed"
    return Pairs("Debian package descriptions", train, validation, test, LICENCE, words)


def join(english: str, french: str) -> list[Pair]:
    """Pairs of the first lines of descriptions, one for each English text.

    Args:
        english: Stanzas with `Description` and `Description-md5`.
        french: Stanzas with `Description-fr` and `Description-md5`.
    """
    originals = _descriptions(english, "Description")
    found: dict[str, dict[str, None]] = {}
    for digest, text in _descriptions(french, "Description-fr").items():
        if digest in originals:
            found.setdefault(originals[digest], {})[text] = None
    return [Pair(source, tuple(targets)) for source, targets in found.items()]


def _descriptions(stanzas: str, field: str) -> dict[str, str]:
    """The first line of each description by its digest."""
    found = {}
    for stanza in stanzas.split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): (.*)$", stanza, re.MULTILINE))
        if field in fields and "Description-md5" in fields:
            found[fields["Description-md5"]] = plain(fields[field])
    return found


def plain(text: str) -> str:
    """One kind of space and of apostrophe; translators write ⋅ for a space that does not break."""
    text = unicodedata.normalize("NFC", text).replace("⋅", " ").replace("’", "'")  # noqa: RUF001
    return " ".join(text.split())


def fetch(folder: Path) -> None:
    """Let apt fetch both files from where the system fetches its packages.

    Raises:
        OSError: There is no apt, or it fails.
    """
    lists, cache = folder / "lists", folder / "apt"
    for made in (lists / "partial", cache / "archives" / "partial"):
        made.mkdir(parents=True, exist_ok=True)
    own = [f"-oDir::State::lists={lists}", f"-oDir::Cache={cache}"]
    languages = ["-oAcquire::Languages=fr", "-oAcquire::GzipIndexes=false"]
    try:
        subprocess.run(["apt-get", *own, *languages, "update"], check=True)
    except subprocess.CalledProcessError as error:
        raise OSError(f"apt-get update ends with {error.returncode}") from error
    for name in (ENGLISH, FRENCH):
        indexes = sorted(lists.glob(f"*_main_*{name}"))
        if not indexes:
            raise OSError(f"apt fetched no {name}")
        (folder / name).write_text("\n\n".join(index.read_text("utf-8") for index in indexes))
