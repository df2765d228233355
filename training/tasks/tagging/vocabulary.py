"""The words and characters that a tagger learns."""

from __future__ import annotations

from collections import Counter

from service.tasks.text.vocabulary import Vocabulary, WordVocabulary, folded
from training.data.texts.tagged import Sentence

NUM_CHARACTERS = 16
"""Of a word, that a step holds."""
MIN_CHARACTER_COUNT = 5
"""Rarer characters are unknown, so that a model learns what that is."""


def vocabulary_of(sentences: list[Sentence]) -> WordVocabulary:
    """All words of some sentences, and their characters that are not rare."""
    characters = Counter(
        character for sentence in sentences for word in sentence.words for character in word
    )
    frequent = [each for each, count in characters.items() if count >= MIN_CHARACTER_COUNT]
    return WordVocabulary(
        Vocabulary(sorted(word_counts(sentences))), Vocabulary(sorted(frequent)), NUM_CHARACTERS
    )


def word_counts(sentences: list[Sentence]) -> Counter[str]:
    """How often each word occurs, as a vocabulary has it."""
    return Counter(folded(word) for sentence in sentences for word in sentence.words)
