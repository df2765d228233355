"""How near translations come to the right ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import sacrebleu
from rapidfuzz.distance import Levenshtein

Metric = Literal["exact_match", "word_error_rate", "bleu"]

HIGHER_IS_BETTER: dict[Metric, bool] = {
    "exact_match": True,
    "word_error_rate": False,
    "bleu": True,
}

References = Sequence[Sequence[str]]
"""Of each text the right ones, one at least."""


def scores(metric: Metric, texts: Sequence[str], references: References) -> dict[str, float]:
    """The metric, and what is usual beside it.

    - `exact_match`: the share of texts that are one of their references.
    - `word_error_rate`: of spoken words, the share of those that are none; `phoneme_error_rate`.
    - `bleu` (Papineni et al. 2002) and `chrf` (Popović 2015), 0 to 100, as sacrebleu has them.
    """
    if metric == "bleu":
        columns = _columns(references)
        return {
            "bleu": sacrebleu.corpus_bleu(texts, columns).score,
            "chrf": sacrebleu.corpus_chrf(texts, columns).score,
        }
    right = [text in known for text, known in zip(texts, references, strict=True)]
    share = sum(right) / len(right)
    if metric == "exact_match":
        return {"exact_match": share}
    return {
        "word_error_rate": 1 - share,
        "phoneme_error_rate": symbol_error_rate(texts, references),
    }


def symbol_error_rate(texts: Sequence[str], references: References) -> float:
    """Edits of symbols to the nearest reference, over that one's symbols; of all texts together."""
    total_edits = total_symbols = 0
    for text, known in zip(texts, references, strict=True):
        found = text.split()
        nearest = min(
            (Levenshtein.distance(found, wanted), len(wanted)) for wanted in map(str.split, known)
        )
        total_edits += nearest[0]
        total_symbols += nearest[1]
    return total_edits / total_symbols


def _columns(references: References) -> list[list[str]]:
    """Sacrebleu's form: a list a reference, empty where a text has no more."""
    most = max(map(len, references))
    return [
        [known[column] if column < len(known) else "" for known in references]
        for column in range(most)
    ]
