"""What a language model is asked, and what it says; and what of it can't be done."""

from __future__ import annotations

import random
from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from service.decoding.prompt import MAX_SEED
from service.errors import InvalidSequenceError
from service.tasks.task import Request

MAX_STOPS, MAX_STOP_CHARACTERS = 16, 200
MAX_ALTERNATIVES = 20
MAX_TEMPERATURE = 100.0


class GenerationRequest(Request, kw_only=True):
    """Prompts to go on from."""

    inputs = ("prompts",)

    prompts: Annotated[str | list[str], Meta(description="one text, or several")]
    max_tokens: Annotated[
        int, Meta(description="characters to make, at most", extra_json_schema={"minimum": 0})
    ] = 100
    temperature: Annotated[
        float,
        Meta(
            description="0: always the likeliest; below 1 more like it, above 1 more varied",
            extra_json_schema={"minimum": 0, "maximum": MAX_TEMPERATURE},
        ),
    ] = 1.0
    top_k: Annotated[
        int,
        Meta(
            description="draw from so many of the likeliest; 0: from all",
            extra_json_schema={"minimum": 0},
        ),
    ] = 0
    top_p: Annotated[
        float,
        Meta(
            description="draw from the likeliest that together have this probability",
            extra_json_schema={"exclusiveMinimum": 0, "maximum": 1},
        ),
    ] = 1.0
    stop: Annotated[
        str | list[str] | None,
        Meta(description="the text ends before the first of these strings that it comes to"),
    ] = None
    seed: Annotated[
        int | None,
        Meta(
            description="the same gives the same text, whatever else is asked; drawn, and told in "
            "the answer, if absent",
            extra_json_schema={"minimum": 0, "maximum": MAX_SEED},
        ),
    ] = None
    logprobs: Annotated[
        int | None,
        Meta(
            description="tell each token's log-probability by the model, and so many of the "
            "likeliest with theirs",
            extra_json_schema={"minimum": 0, "maximum": MAX_ALTERNATIVES},
        ),
    ] = None
    score: Annotated[
        bool, Meta(description="tell the log-probability of each character of the prompt")
    ] = False

    @property
    def stops(self) -> list[str]:
        """The strings that stop a text."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    def check(self) -> None:
        """Refuse options out of their range.

        Raises:
            InvalidSequenceError: Naming the field.
        """
        _check("max_tokens", self.max_tokens, 0 if self.score else 1, None)
        _check("temperature", self.temperature, 0, MAX_TEMPERATURE)
        _check("top_k", self.top_k, 0, None)
        if not 0 < self.top_p <= 1:
            raise InvalidSequenceError(
                f"top_p must be above 0 and up to 1, not {self.top_p}", "top_p"
            )
        if self.seed is not None:
            _check("seed", self.seed, 0, MAX_SEED)
        if self.logprobs is not None:
            _check("logprobs", self.logprobs, 0, MAX_ALTERNATIVES)
        if len(self.stops) > MAX_STOPS:
            raise InvalidSequenceError(
                f"stop has {len(self.stops)} strings, {MAX_STOPS} are possible", "stop"
            )
        for index, stop in enumerate(self.stops):
            if not 1 <= len(stop) <= MAX_STOP_CHARACTERS:
                field = "stop" if isinstance(self.stop, str) else f"stop[{index}]"
                raise InvalidSequenceError(
                    f"{field} has {len(stop)} characters, 1 to {MAX_STOP_CHARACTERS} are possible",
                    field,
                )

    def seed_of_a_text(self) -> int:
        """The one asked for, or a new one."""
        # of no more bits than a number of JavaScript's has
        return random.getrandbits(53) if self.seed is None else self.seed


def _check(field: str, value: float, least: float, most: float | None) -> None:
    if value < least or (most is not None and value > most):
        asked = f"at least {least}" if most is None else f"{least} to {most}"
        raise InvalidSequenceError(f"{field} must be {asked}, not {value}", field)


class Likely(TypedDict):
    """A token that might have come."""

    token: str
    logprob: float


class TokenLogprob(Likely):
    """A token that came, and the likeliest in its place."""

    top: list[Likely]


class Usage(TypedDict):
    """What a text took."""

    prompt_tokens: int
    completion_tokens: int


class Prediction(TypedDict):
    """What is said of one prompt."""

    text: str
    finish_reason: str
    seed: int
    unknown_characters: int
    usage: Usage
    logprobs: NotRequired[list[TokenLogprob]]
    prompt_logprobs: NotRequired[list[float]]
