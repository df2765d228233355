"""Classification of texts, read as characters."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from msgspec import Meta

from service.errors import BundleError
from service.graphs.model import Arrays
from service.tasks.classification.occlusion import importances, with_occluded
from service.tasks.classification.ranking import Prediction, classify, softmax
from service.tasks.classification.settings import TextClassificationSettings
from service.tasks.classification.task import check_top_k
from service.tasks.task import Bundle, Request, Task, Work
from service.tasks.text.characters import CharacterVocabulary, characters_of
from service.tasks.text.checks import check_text, texts_of
from service.tasks.text.vocabulary import UNKNOWN, Vocabulary

CHARACTERS_A_STEP = 4
"""A text may have so many characters for each step of the limit: white space becomes one."""

OCCLUDED = "\ufffd"


class TextClassificationRequest(Request, kw_only=True):
    """Texts to label."""

    inputs = ("texts",)

    texts: Annotated[str | list[str], Meta(description="a text, or several")]
    top_k: Annotated[int, Meta(description="labels to list in `top`, likeliest first")] = 1


class TextClassification(Task):
    """Names the likeliest labels of each text."""

    request = TextClassificationRequest
    prediction = Prediction
    example = {"texts": ["un éditeur de texte léger"], "top_k": 3}  # noqa: RUF012 - never changed

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        settings = self.manifest.settings
        if not isinstance(settings, TextClassificationSettings):
            raise BundleError("a bundle that classifies texts needs settings of its task")
        characters = Vocabulary.from_bytes(bundle.read_file(settings.characters))
        self.vocabulary = CharacterVocabulary(characters, settings.buckets)
        if self.vocabulary.tokens() != self.manifest.inputs.tokens:
            raise BundleError("the vocabulary is not of the sizes that inputs.tokens say")
        self.max_characters = CHARACTERS_A_STEP * self.manifest.limits.max_length

    def read(self, request: TextClassificationRequest) -> Work:
        """The characters of each text as ids."""
        check_top_k(request.top_k)
        texts = []
        for field, text in texts_of(request.texts):
            check_text(text, field, self.max_characters)
            texts.append(characters_of(text))
        lengths = [len(text) for text in texts]
        if request.explain and not self.manifest.outputs.weights:
            texts = with_occluded(texts, self.manifest.limits.max_length, occlude)
        asked = [self.vocabulary.pack(text) for text in texts]
        # the groups beside a character have no unknown one
        num_unknown = sum(
            int((ids.reshape(len(ids), -1)[:, 0] == UNKNOWN).sum()) for ids in asked[: len(lengths)]
        )
        answer = partial(self._answer, request, lengths)
        return Work(asked, "texts", answer, num_unknown, num_items=sum(lengths))

    def describe(self) -> dict[str, Any]:
        """Its labels, and how many characters it knows."""
        known = len(self.vocabulary.characters.entries)
        return {"labels": self.manifest.outputs.labels, "known_characters": known}

    def _answer(
        self, request: TextClassificationRequest, lengths: list[int], results: Arrays
    ) -> list[dict[str, Any]]:
        names = self.manifest.outputs
        predictions: list[dict[str, Any]] = [
            {**classify(logits, names.labels, request.top_k)}
            for logits in results[names.logits][: len(lengths)]
        ]
        if request.explain:
            self._explain(predictions, lengths, results)
        return predictions

    def _explain(
        self, predictions: list[dict[str, Any]], lengths: list[int], results: Arrays
    ) -> None:
        """Add to each prediction how much each character matters."""
        names = self.manifest.outputs
        if names.weights is None:
            shares = importances(softmax(results[names.logits]), lengths)
            for prediction, share in zip(predictions, shares, strict=True):
                prediction |= {"attention": None, "occlusion": share}
            return
        for row, prediction in enumerate(predictions):
            prediction["attention"] = results[names.weights][row, : lengths[row]].tolist()


def occlude(text: str, window: slice) -> str:
    """A copy with a character that no model knows in each place of a window."""
    return "".join(
        OCCLUDED if window.start <= place < window.stop else character
        for place, character in enumerate(text)
    )
