"""What tags are worth: the share of right ones, and precision, recall and F1 of whole spans."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from service.tasks.tagging.spans import spans_of
from training.data.texts.tagged import Sentence

Tags = Sequence[Sequence[str]]


def accuracy(expected: Tags, found: Tags) -> float:
    """The share of words with the right tag."""
    pairs = [
        a == b
        for right, answer in zip(expected, found, strict=True)
        for a, b in zip(right, answer, strict=True)
    ]
    return sum(pairs) / len(pairs)


def span_scores(expected: Tags, found: Tags) -> dict[str, float]:
    """Precision, recall and F1 of spans: right if label, first and last word are all right.

    Counted over all labels together, as the CoNLL evaluation and seqeval do; 0 where there is
    nothing to count.
    """
    rights = found_spans = expected_spans = 0
    for right, answer in zip(expected, found, strict=True):
        should, does = set(spans_of(right)), set(spans_of(answer))
        rights += len(should & does)
        expected_spans += len(should)
        found_spans += len(does)
    return {
        "span_f1": _ratio(2 * rights, expected_spans + found_spans),
        "span_precision": _ratio(rights, found_spans),
        "span_recall": _ratio(rights, expected_spans),
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def tagging_scores(expected: Tags, found: Tags, *, has_spans: bool) -> dict[str, float]:
    """Accuracy, and where the tags mark spans what these are worth."""
    scores = {"accuracy": accuracy(expected, found)}
    return {**span_scores(expected, found), **scores} if has_spans else scores


def majority_tags(train: Sequence[Sentence], sentences: Sequence[Sentence]) -> list[list[str]]:
    """The baseline: each word's most frequent tag, and the most frequent of all for others."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in train:
        for word, tag in zip(*sentence, strict=True):
            counts[word][tag] += 1
    all_tags: Counter[str] = sum(counts.values(), Counter())
    most = {word: _most(counter) for word, counter in counts.items()}
    default = _most(all_tags)
    return [[most.get(word, default) for word in sentence.words] for sentence in sentences]


def _most(counter: Counter[str]) -> str:
    """The most frequent; of several the first in the alphabet."""
    return min(counter, key=lambda tag: (-counter[tag], tag))
