"""Tagging: texts or words in; each word's tag, and the spans that the tags mark."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict

import numpy as np
from msgspec import Meta

from service.codec.tensors import check_most
from service.errors import BundleError, InvalidRequestError, InvalidSequenceError
from service.graphs.model import Arrays
from service.tasks.classification.ranking import Ranked, rank
from service.tasks.tagging.decoding import Decoder, Tagging
from service.tasks.tagging.settings import TaggingSettings
from service.tasks.tagging.spans import is_span_set, spans_of
from service.tasks.task import Bundle, Request, Task, Work
from service.tasks.text.checks import check_text, texts_of
from service.tasks.text.vocabulary import Vocabulary, WordVocabulary
from service.tasks.text.words import Word, forms_of, words_of

NUM_ALTERNATIVES = 3


class TaggingRequest(Request, kw_only=True):
    """Sentences in `texts`, or already parted into words in `tokens`."""

    inputs = ("texts", "tokens")

    texts: Annotated[
        str | list[str] | None, Meta(description="a sentence, or several: each is tagged by itself")
    ] = None
    tokens: Annotated[
        list[list[str]] | None,
        Meta(description="instead of texts: sentences that are parted into words already"),
    ] = None


class TaggedToken(TypedDict):
    """A word: `text[start:end]` of the caller's, in code points; no places in given `tokens`."""

    text: str
    start: int | None
    end: int | None
    tag: str
    probability: float
    known: bool
    alternatives: NotRequired[list[Ranked]]


class TaggedSpan(TypedDict):
    """A name or the like; its score is the lowest probability of its words' tags."""

    label: str
    text: str
    start: int | None
    end: int | None
    score: float


class Prediction(TypedDict):
    """The answer to one sentence; `score` is the probability of all its tags together."""

    tokens: list[TaggedToken]
    spans: list[TaggedSpan]
    score: float
    unknown_tokens: int
    attention: NotRequired[list[float] | None]


class Sentence(NamedTuple):
    """One to be tagged: its words, and the text that they stand in if there is one."""

    words: list[Word]
    text: str | None


class TaggingTask(Task):
    """Tags every word of each sentence."""

    request = TaggingRequest
    prediction = Prediction
    example = {"texts": ["The jury said it did."], "explain": True}  # noqa: RUF012 - never changed
    has_slow_answers = True

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        settings = self.manifest.settings
        if not isinstance(settings, TaggingSettings):
            raise BundleError("a tagging bundle needs settings of its task")
        self.settings = settings
        self.labels = self.manifest.outputs.labels
        self.has_spans = is_span_set(self.labels)
        self.vocabulary = WordVocabulary(
            Vocabulary.from_bytes(bundle.read_file(settings.words)),
            Vocabulary.from_bytes(bundle.read_file(settings.characters)),
            settings.num_characters,
        )
        if self.vocabulary.tokens() != self.manifest.inputs.tokens:
            raise BundleError("the vocabularies are not of the sizes that inputs.tokens say")
        file = settings.transitions
        self.decoder_of_tags = Decoder(len(self.labels), bundle.read_file(file) if file else None)

    def read(self, request: TaggingRequest) -> Work:
        """The words of each sentence as ids."""
        if (request.texts is None) == (request.tokens is None):
            raise InvalidRequestError("give either texts or tokens", "texts")
        if request.texts is not None:
            field, sentences = "texts", self._of_texts(request.texts)
        else:
            field, sentences = "tokens", self._of_tokens(request.tokens or [])
        asked = [
            self.vocabulary.pack([word.form for word in sentence.words]) for sentence in sentences
        ]
        num_unknown = sum(
            not self.vocabulary.is_known(word.form)
            for sentence in sentences
            for word in sentence.words
        )
        answer = partial(self._answer, request, sentences)
        return Work(asked, field, answer, num_unknown, num_items=sum(map(len, asked)))

    def describe(self) -> dict[str, Any]:
        """Its tags, and how many words it knows."""
        return {"labels": self.labels, "known_words": len(self.vocabulary.words.entries)}

    def _of_texts(self, texts: str | list[str]) -> list[Sentence]:
        sentences = []
        for field, text in texts_of(texts):
            check_text(text, field, self.settings.max_characters)
            sentences.append(Sentence(words_of(text, self.vocabulary.is_known), text))
        return sentences

    def _of_tokens(self, tokens: list[list[str]]) -> list[Sentence]:
        sentences = []
        for row, words in enumerate(tokens):
            if not words:
                raise InvalidSequenceError(f"tokens[{row}] has no words", f"tokens[{row}]")
            check_most(len(words), self.manifest.limits.max_length, f"tokens[{row}]")
            for place, word in enumerate(words):
                check_text(word, f"tokens[{row}][{place}]", self.settings.max_characters)
            forms = zip(words, forms_of(words), strict=True)
            sentences.append(Sentence([Word(word, 0, 0, form) for word, form in forms], None))
        return sentences

    def _answer(
        self, request: TaggingRequest, sentences: list[Sentence], results: Arrays
    ) -> list[dict[str, Any]]:
        names = self.manifest.outputs
        lengths = np.array([len(sentence.words) for sentence in sentences])
        tagging = self.decoder_of_tags.decode(results[names.logits], lengths)
        predictions = []
        for row, sentence in enumerate(sentences):
            prediction = self._predict(sentence, tagging, row, explain=request.explain)
            if request.explain:  # null: this family has no attention to show
                weights = results[names.weights][row, : lengths[row]] if names.weights else None
                prediction["attention"] = None if weights is None else weights.tolist()
            predictions.append(prediction)
        return predictions

    def _predict(
        self, sentence: Sentence, tagging: Tagging, row: int, *, explain: bool
    ) -> dict[str, Any]:
        tokens: list[dict[str, Any]] = []
        for step, word in enumerate(sentence.words):
            tag = int(tagging.tags[row, step])
            probabilities = tagging.probabilities[row, step]
            token: dict[str, Any] = {
                "text": word.text,
                "start": None if sentence.text is None else word.start,
                "end": None if sentence.text is None else word.end,
                "tag": self.labels[tag],
                "probability": float(probabilities[tag]),
                "known": self.vocabulary.is_known(word.form),
            }
            if explain:
                token["alternatives"] = rank(probabilities, self.labels, NUM_ALTERNATIVES)
            tokens.append(token)
        return {
            "tokens": tokens,
            "spans": self._spans(sentence, tokens) if self.has_spans else [],
            "score": float(tagging.scores[row]),
            "unknown_tokens": sum(not token["known"] for token in tokens),
        }

    def _spans(self, sentence: Sentence, tokens: list[dict[str, Any]]) -> list[dict[str, Any]]:
        spans = []
        for label, begin, end in spans_of([token["tag"] for token in tokens]):
            inside = tokens[begin:end]
            first, last = inside[0]["start"], inside[-1]["end"]
            text = sentence.text
            spans.append(
                {
                    "label": label,
                    "text": " ".join(token["text"] for token in inside)
                    if text is None
                    else text[first:last],
                    "start": first,
                    "end": last,
                    "score": min(token["probability"] for token in inside),
                }
            )
        return spans
