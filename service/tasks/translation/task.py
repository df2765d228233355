"""Translation: each text to the likeliest target texts that a beam search finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NotRequired, TypedDict

import numpy as np
from msgspec import Meta

from service.decoding.prompt import Beam, Generated, Prompt
from service.errors import BundleError, InvalidSequenceError
from service.graphs.decoders.decoder import CacheSpec, DecoderSpec, MemorySpec
from service.graphs.spec import state_specs
from service.tasks.decoding import DecodingTask
from service.tasks.task import Bundle, Request, Work
from service.tasks.translation.interpreter import Interpreter, Source
from service.tasks.translation.settings import (
    MAX_BEAM,
    MAX_LENGTH_PENALTY,
    SOURCE_FILE,
    TARGET_FILE,
    TranslationSettings,
)
from service.tasks.translation.vocabulary import BEGIN, END, Vocabulary

BEAM_RANGE = {"minimum": 1, "maximum": MAX_BEAM}
MAX_CHARACTERS = 20_000
"""Of a text; or `MAX_UNIT` for each unit that the model takes, if that is more."""
MAX_UNIT = 100
MAX_NAMED = 5  # unknown units in a refusal


class TranslationRequest(Request, kw_only=True):
    """Texts to translate."""

    inputs = ("texts",)

    texts: Annotated[str | list[str], Meta(description="one text, or several")]
    beam: Annotated[
        int | None,
        Meta(
            description="texts followed at a time; 1 takes the likeliest token each time; "
            "the model's own if absent",
            extra_json_schema=BEAM_RANGE,
        ),
    ] = None
    length_penalty: Annotated[
        float | None,
        Meta(
            description="0 compares sums of log-probabilities, more favours longer texts",
            extra_json_schema={"minimum": 0, "maximum": MAX_LENGTH_PENALTY},
        ),
    ] = None
    max_tokens: Annotated[
        int | None,
        Meta(
            description="of a target, its end among them; at most the model's own",
            extra_json_schema={"minimum": 1},
        ),
    ] = None
    n_best: Annotated[
        int,
        Meta(description="texts to answer, at most `beam`", extra_json_schema=BEAM_RANGE),
    ] = 1


class Alternative(TypedDict):
    """Another text that the beam ended with."""

    text: str
    score: float


class Alignment(TypedDict):
    """Where the decoder looked: for each token of the target a weight for each source token."""

    source: list[str]
    weights: Any


class Prediction(TypedDict):
    """What is said of one text."""

    text: str
    score: float
    tokens: list[str]
    alternatives: list[Alternative]
    unknown: list[str]
    truncated: bool
    alignment: NotRequired[Alignment | None]


class Translation(DecodingTask):
    """Sequence to sequence with an encoder and a decoder."""

    request = TranslationRequest
    prediction = Prediction

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        settings = self.manifest.settings
        if not isinstance(settings, TranslationSettings):
            raise BundleError("settings: a translation has its own")
        self.settings = settings
        self.example = {"texts": [settings.example], "beam": settings.beam, "explain": True}
        source, target = (self._vocabulary(name) for name in (SOURCE_FILE, TARGET_FILE))
        if [len(source)] != self.manifest.inputs.tokens:
            raise BundleError(
                f"{SOURCE_FILE} has {len(source)} units, inputs.tokens another number"
            )
        if len(target) != self.manifest.outputs.width:
            raise BundleError(f"{TARGET_FILE} has {len(target)} units, outputs another number")
        self.interpreter = Interpreter(settings.writing, source, target)

    def _vocabulary(self, name: str) -> Vocabulary:
        try:
            return Vocabulary.from_bytes(self.bundle.read_file(name))
        except ValueError as error:
            raise BundleError(f"{name}: {error}") from error

    def decoder_spec(self) -> DecoderSpec:
        """An encoder's memory, and either a state or a cache."""
        settings, names = self.settings, self.manifest.inputs
        most = settings.max_tokens
        return DecoderSpec(
            vocabulary=self.manifest.outputs.width,
            max_length=1 + most,
            end=END,
            forbidden=self.interpreter.forbidden,
            state=state_specs(self.manifest),
            cache=CacheSpec(settings.cache_width, 1 + most) if settings.cache_width else None,
            memory=MemorySpec(
                settings.memory_width,
                self.manifest.limits.max_length,
                vocabulary=len(self.interpreter.source),
            ),
            attention=self.manifest.outputs.weights,
            inputs=names.name,
            lengths=names.lengths,
            logits=self.manifest.outputs.logits,
        )

    def read(self, request: TranslationRequest) -> Work:
        """A prompt for each text."""
        settings = self.settings
        beam = _within(request.beam, settings.beam, 1, MAX_BEAM, "beam")
        penalty = _within(
            request.length_penalty,
            settings.length_penalty,
            0,
            MAX_LENGTH_PENALTY,
            "length_penalty",
        )
        max_tokens = _within(
            request.max_tokens, settings.max_tokens, 1, settings.max_tokens, "max_tokens"
        )
        num_best = _within(request.n_best, 1, 1, beam, "n_best")
        strategy = Beam(int(beam), int(max_tokens), float(penalty), int(num_best))
        texts = [request.texts] if isinstance(request.texts, str) else request.texts
        fields = (
            ["texts"]
            if isinstance(request.texts, str)
            else [f"texts[{row}]" for row in range(len(texts))]
        )
        sources = [self._source(text, field) for text, field in zip(texts, fields, strict=True)]
        begin = np.array([BEGIN], dtype=np.int64)
        prompts = [Prompt(begin, strategy, source.numbers) for source in sources]

        def answer(results: Any) -> list[dict[str, Any]]:
            return [
                self._predict(source, found, explain=request.explain)
                for source, found in zip(sources, results, strict=True)
            ]

        num_unknown = sum(len(source.unknown) for source in sources)
        num_items = sum(len(source.numbers) for source in sources)
        return Work(prompts, "texts", answer, num_unknown, num_items=num_items)

    def _source(self, text: str, field: str) -> Source:
        """Read a text.

        Raises:
            InvalidSequenceError: It is empty or too long, or has units that the model refuses.
        """
        units = self.settings.writing.source_units
        limit = self.manifest.limits.max_length
        most = max(MAX_CHARACTERS, limit * MAX_UNIT)
        if len(text) > most:
            raise InvalidSequenceError(
                f"{field} has {len(text)} characters, the limit is {most}", field
            )
        source = self.interpreter.read(text)
        if not source.units:
            raise InvalidSequenceError(f"{field} has no {units}", field)
        if len(source.units) > limit:
            raise InvalidSequenceError(
                f"{field} has {len(source.units)} {units}, the model takes {limit}", field
            )
        if self.settings.writing.unknown == "refuse" and source.unknown:
            named = ", ".join(map(repr, list(dict.fromkeys(source.unknown))[:MAX_NAMED]))
            raise InvalidSequenceError(
                f"{field} has {units} the model does not know: {named}", field
            )
        return source

    def _predict(
        self, source: Source, found: Sequence[Generated], *, explain: bool
    ) -> dict[str, Any]:
        """What is said of one text.

        Args:
            source: The text.
            found: At least one, best first.
            explain: Show where the decoder looked.
        """
        written = [
            self.interpreter.write(each.tokens.tolist(), each.attention, source) for each in found
        ]
        texts = [self.interpreter.text(units) for units in written]
        best = found[0]
        prediction: dict[str, Any] = {
            "text": texts[0],
            "score": best.score,
            "tokens": written[0],
            "alternatives": [
                {"text": text, "score": each.score}
                for text, each in zip(texts[1:], found[1:], strict=True)
            ],
            "unknown": source.unknown,
            "truncated": best.ending == "length",
        }
        if explain:
            weights = best.attention
            prediction["alignment"] = (
                None if weights is None else {"source": source.units, "weights": weights}
            )
        return prediction

    def describe(self) -> dict[str, Any]:
        """How it reads and writes, and what it does unless told otherwise."""
        interpreter = self.interpreter
        return {
            **self.settings.model_dump(include={"writing", "max_tokens", "beam", "length_penalty"}),
            "vocabulary": {"source": len(interpreter.source), "target": len(interpreter.target)},
        }


def _within(asked: float | None, own: float, least: float, most: float, field: str) -> float:
    """What is asked, or the model's own.

    Raises:
        InvalidSequenceError: It is out of its range.
    """
    wanted = own if asked is None else asked
    if not least <= wanted <= most:
        raise InvalidSequenceError(f"{field} must be {least} to {most}, not {wanted}", field)
    return wanted
