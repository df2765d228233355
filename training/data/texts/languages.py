"""Which language a line is in: short descriptions of Debian's packages in fifteen languages.

Home: the Debian Description Translation Project, as Debian 12's archive has it, a file a language,
such as `Translation-fr.bz2`. A description is known by the MD5 of the English one. The archive may
change a little with a point release; which descriptions are for the test does not.
"""

from __future__ import annotations

import bz2
import lzma
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from training.data.fetching import download, given_or_cached
from training.data.texts.labelled import Labelled, LabelledText

ARCHIVE_URL = "https://deb.debian.org/debian/dists/bookworm/main/i18n"
FOLDER = "debian-bookworm"
LICENCE = "as the packages described, all free; Debian Description Translation Project"
LANGUAGES = {
    "cs": "cs", "da": "da", "de": "de", "en": "en", "es": "es", "fr": "fr", "it": "it", "ja": "ja",
    "ko": "ko", "pl": "pl", "pt": "pt_BR", "ru": "ru", "sk": "sk", "uk": "uk", "zh": "zh_CN",
}  # fmt: skip
"""What the archive calls each label's language."""
TEST_BELOW = "1a"
"""A description is for the test if its MD5 begins below: 10.2 % are."""
MAX_TRAIN, MAX_TEST = 1_500, 150
"""Of one language: those with the lowest MD5."""

_FIRST_LINE = re.compile(r"^Description-(?!md5)[\w-]+: (.+)$", re.MULTILINE)
_DIGEST = re.compile(r"^Description-md5: ([0-9a-f]{32})$", re.MULTILINE)


def load_languages(folder: Path | None = None) -> LabelledText:
    """First lines of descriptions, labelled with their languages.

    Args:
        folder: Of the files; found or downloaded if None.
    Raises:
        ValueError: A file is not packed as its name says, or has no descriptions.
        OSError: A file can't be read or downloaded.
    """
    folder = folder or find_folder()
    texts = {}
    for label, language in LANGUAGES.items():
        path = folder / file_of(language)
        packed = path.read_bytes()
        unpack = lzma.decompress if path.suffix == ".xz" else bz2.decompress
        try:
            texts[label] = read_descriptions(unpack(packed).decode())
        except (lzma.LZMAError, OSError, ValueError) as error:  # OSError is bz2's own word for it
            raise ValueError(f"{path} can't be read: {error}") from error
        if not texts[label]:
            raise ValueError(f"{path} holds no descriptions")
    train, test = split(texts)
    return LabelledText(
        name="Debian 12 package descriptions in 15 languages",
        train=train,
        test=test,
        licence=LICENCE,
        split="by the MD5 of a description's English original, so that no package is in both parts",
    )


def file_of(language: str) -> str:
    """Its name in the archive, which packs English alone with xz."""
    return f"Translation-{language}.{'xz' if language == 'en' else 'bz2'}"


def read_descriptions(content: str) -> dict[str, str]:
    """The first line of each description by the MD5 of the English one."""
    found = {}
    for stanza in content.split("\n\n"):
        digest, line = _DIGEST.search(stanza), _FIRST_LINE.search(stanza)
        if digest and line:
            found[digest[1]] = " ".join(line[1].split())
    return found


def split(
    texts: Mapping[str, Mapping[str, str]], max_train: int = MAX_TRAIN, max_test: int = MAX_TEST
) -> tuple[list[Labelled], list[Labelled]]:
    """What to train on and what to test on.

    A line that two languages have, as names and what nobody translated, says nothing and is left
    out; so is one that its language has before.
    """
    languages = Counter(line for found in texts.values() for line in set(found.values()))
    parts: tuple[list[Labelled], list[Labelled]] = ([], [])
    for label, found in texts.items():
        seen: set[str] = set()
        chosen: tuple[list[Labelled], list[Labelled]] = ([], [])
        for digest, line in sorted(found.items()):
            if languages[line] == 1 and line not in seen:
                seen.add(line)
                chosen[digest < TEST_BELOW].append(Labelled(line, label))
        parts[0].extend(chosen[0][:max_train])
        parts[1].extend(chosen[1][:max_test])
    return parts


def find_folder() -> Path:
    """The folder of the files, filled once."""
    folder = given_or_cached(FOLDER)
    for language in LANGUAGES.values():
        name = file_of(language)
        if not (folder / name).exists():
            download(f"{ARCHIVE_URL}/{name}", folder / name)
    return folder
