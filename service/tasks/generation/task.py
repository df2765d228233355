"""Generation: each prompt goes on, character by character."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from service.decoding.prompt import Generated, Prompt, Sampling
from service.errors import BundleError, InvalidSequenceError
from service.graphs.decoders.decoder import CacheSpec, DecoderSpec
from service.graphs.spec import state_specs
from service.tasks.decoding import DecodingTask
from service.tasks.generation.request import GenerationRequest, Prediction, TokenLogprob
from service.tasks.generation.settings import GenerationSettings
from service.tasks.generation.stops import Stops
from service.tasks.generation.vocabulary import Encoded, Vocabulary
from service.tasks.task import Bundle, Work

MAX_TOLD = 500_000
"""Alternatives in one answer: of all its tokens together."""

Tell = Callable[[int, str], None]
"""Told on the event loop which prompt's text has come further, and by what."""


class Begun(NamedTuple):
    """A prompt that a text is made of.

    Args:
        encoded: The prompt.
        strategy: How its text is drawn.
    """

    encoded: Encoded
    strategy: Sampling


class Generation(DecodingTask):
    """A language model whose tokens are characters."""

    request = GenerationRequest
    prediction = Prediction
    has_slow_answers = True
    example = {  # noqa: RUF012 - never changed
        "prompts": ["ROMEO:"],
        "max_tokens": 60,
        "temperature": 0.8,
        "stop": ["\n\n"],
        "seed": 1,
    }

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        settings = self.manifest.settings
        if not isinstance(settings, GenerationSettings):
            raise BundleError("settings: a generation has its own")
        symbols = self.manifest.outputs.labels
        if self.manifest.inputs.tokens != [len(symbols)]:
            raise BundleError("outputs.labels: there is one for each token of the input")
        self.settings = settings
        self.vocabulary = Vocabulary(symbols, settings.begin, settings.unknown)

    def decoder_spec(self) -> DecoderSpec:
        """A state, or a cache; no token ends a text."""
        inputs, outputs = self.manifest.inputs, self.manifest.outputs
        max_length, cache = self.manifest.limits.max_length, self.settings.cache
        return DecoderSpec(
            vocabulary=outputs.width,
            max_length=1 + max_length,
            state=state_specs(self.manifest),
            cache=CacheSpec(cache.width, 1 + max_length, cache.window) if cache else None,
            inputs=inputs.name,
            lengths=inputs.lengths,
            logits=outputs.logits,
        )

    def read(self, request: GenerationRequest) -> Work:
        """A prompt for each text."""
        return self.read_streamed(request, None)

    def read_streamed(self, request: GenerationRequest, tell: Tell | None) -> Work:
        """A prompt for each text, which may be told as it comes.

        Args:
            request: What is asked.
            tell: Told every part of each text but for what is still held back when it ends.
        Raises:
            InvalidSequenceError: It can't be done.
        """
        request.check()
        is_one = isinstance(request.prompts, str)
        texts = [request.prompts] if isinstance(request.prompts, str) else request.prompts
        fields = ["prompts"] if is_one else [f"prompts[{row}]" for row in range(len(texts))]
        begun = [self._begin(request, *each) for each in zip(texts, fields, strict=True)]
        num_told = (request.logprobs or 0) * sum(each.strategy.max_tokens for each in begun)
        if num_told > MAX_TOLD:
            raise InvalidSequenceError(
                f"logprobs may come to {num_told} alternatives, {MAX_TOLD} are possible", "logprobs"
            )
        prompts = [self._prompt(request, row, each, tell) for row, each in enumerate(begun)]

        def answer(results: Any) -> list[dict[str, Any]]:
            return [
                self._predict(request, each, found[0])
                for each, found in zip(begun, results, strict=True)
            ]

        num_unknown = sum(each.encoded.num_unknown for each in begun)
        num_items = sum(len(each.encoded.tokens) for each in begun)
        return Work(prompts, "prompts", answer, num_unknown, num_items=num_items)

    def _begin(self, request: GenerationRequest, text: str, field: str) -> Begun:
        encoded = self.vocabulary.encode(text, field)
        length, limit = len(encoded.tokens), self.manifest.limits.max_length
        if length + request.max_tokens > limit:
            raise InvalidSequenceError(
                f"{field} has {length} characters and may get {request.max_tokens} more, "
                f"{self.manifest.name} takes {limit} together",
                field,
            )
        forced = tuple(encoded.tokens.tolist()) if request.score else ()
        if not len(forced) + request.max_tokens:
            raise InvalidSequenceError(f"{field} has no characters to score", field)
        strategy = Sampling(
            max_tokens=len(forced) + request.max_tokens,
            temperature=request.temperature,
            top_k=request.top_k,
            top_p=request.top_p,
            seed=request.seed_of_a_text(),
            num_alternatives=request.logprobs or 0,
            forced=forced,
        )
        return Begun(encoded, strategy)

    def _prompt(
        self, request: GenerationRequest, row: int, begun: Begun, tell: Tell | None
    ) -> Prompt:
        given = begun.encoded.tokens[: 0 if request.score else None]
        symbols = self.vocabulary.symbols
        on_token = stream = None
        if request.stops:
            found = Stops(request.stops)

            def on_token(token: int, logprob: float) -> bool:
                found.push(symbols[token])
                return found.is_stopped

        if tell is not None:
            told = Stops(request.stops)

            def stream(token: int, logprob: float) -> None:
                if piece := told.push(symbols[token]):
                    tell(row, piece)

        return Prompt(
            np.concatenate([[self.vocabulary.begin], given]).astype(np.int64),
            begun.strategy,
            on_token=on_token,
            stream=stream,
        )

    def _predict(self, request: GenerationRequest, begun: Begun, made: Generated) -> dict[str, Any]:
        """What is said of one prompt."""
        num_forced = len(begun.strategy.forced)
        found = Stops(request.stops)
        text = found.push(self.vocabulary.decode(made.tokens[num_forced:])) + found.flush()
        prediction: dict[str, Any] = {
            "text": text,
            "finish_reason": made.ending,
            "seed": begun.strategy.seed,
            "unknown_characters": begun.encoded.num_unknown,
            "usage": {
                "prompt_tokens": len(begun.encoded.tokens),
                "completion_tokens": len(made.tokens) - num_forced,
            },
        }
        if request.logprobs is not None:
            places = range(num_forced, num_forced + len(text))
            prediction["logprobs"] = [self._logprob(made, place) for place in places]
        if request.score:
            prediction["prompt_logprobs"] = made.logprobs[:num_forced].tolist()
        return prediction

    def _logprob(self, made: Generated, place: int) -> TokenLogprob:
        symbols = self.vocabulary.symbols
        top = made.alternatives[place] if made.alternatives else ()
        return {
            "token": symbols[made.tokens[place]],
            "logprob": float(made.logprobs[place]),
            "top": [{"token": symbols[token], "logprob": logprob} for token, logprob in top],
        }

    def describe(self) -> dict[str, Any]:
        """Its characters, and what becomes of others."""
        return {
            "vocabulary": self.vocabulary.symbols,
            **self.settings.model_dump(include={"begin", "unknown"}),
        }
