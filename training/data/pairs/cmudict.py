"""The CMU Pronouncing Dictionary: how some 125,000 English words are spoken, in 39 phonemes.

Home: https://github.com/cmusphinx/cmudict. A line is `word PH0 PH1 …`, a further pronunciation
`word(2) …`; digits on vowels say stress, which is taken off, comments begin with #. Words with
points and hyphens are left out: abbreviations and their like are not spelt as they sound.
"""

from __future__ import annotations

import re

from training.data.fetching import fetched
from training.data.pairs.pairs import Pair, Pairs, parts

FILE = "cmudict.dict"
URL = (
    "https://raw.githubusercontent.com/cmusphinx/cmudict/"
    "0f8072f814306c5ee4fbf992ed853601b12c01f9/cmudict.dict"
)
SHA256 = "81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22"
LICENCE = "BSD-2-Clause, CMU Pronouncing Dictionary (Carnegie Mellon University)"
NUM_TEST, NUM_VALIDATION = 12_000, 2_670


def load_cmudict() -> Pairs:
    """Spellings to phonemes, parted by word.

    Raises:
        ValueError: The file is not the one of the digest.
        OSError: It can't be read or downloaded.
    """
    path = fetched(URL, FILE, sha256=SHA256)
    train, validation, test = parts(
        pronunciations(path.read_text(encoding="utf-8")), NUM_TEST, NUM_VALIDATION
    )
    words = f"{NUM_TEST:,} words of all, drawn with a fixed seed"
    return Pairs("CMU Pronouncing Dictionary", train, validation, test, LICENCE, words)


def pronunciations(dictionary: str) -> list[Pair]:
    """Each word with its pronunciations, in the order in which the dictionary lists them."""
    found: dict[str, dict[str, None]] = {}
    for line in dictionary.splitlines():
        entry, *phonemes = line.partition("#")[0].split()
        word = re.sub(r"\(\d+\)$", "", entry)
        spoken = " ".join(phoneme.rstrip("012") for phoneme in phonemes)
        found.setdefault(word, {})[spoken] = None
    return [
        Pair(word, tuple(spoken))
        for word, spoken in found.items()
        if re.fullmatch(r"[a-z']+", word)
    ]
