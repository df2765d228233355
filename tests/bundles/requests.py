"""Requests to any bundled model, of many lengths, in its task's own form."""

from __future__ import annotations

import copy
import string
from collections.abc import Callable
from typing import Any

import numpy as np

Body = dict[str, Any]
Maker = Callable[[Body, Body, np.random.Generator], Body]
"""Of the model, as `GET /v1/models` tells of it, and of its example, another request."""

WORDS = [
    "the", "a", "of", "in", "jury", "said", "fulton", "county", "grand", "friday", "an", "new",
    "investigation", "york", "mister", "brown", "house", "library", "for", "data", "network",
    "tool", "wide", "distributed", "language", "1961", "3rd", "déjà", "façade", "Zürich",
]  # fmt: skip
NUM_SEQUENCES = 3


def frames(model: Body, example: Body, random: np.random.Generator) -> Body:
    """Frames like log powers, a few to two hundred steps."""
    lengths = random.integers(1, 200, random.integers(1, NUM_SEQUENCES + 1))
    width = len(model["features"])
    sequences = [random.normal(-10.0, 3.0, (length, width)).round(2).tolist() for length in lengths]
    return {**example, "sequences": sequences}


def sentences(model: Body, example: Body, random: np.random.Generator) -> Body:
    """Sentences of one to thirty words."""
    counts = random.integers(1, 30, random.integers(1, NUM_SEQUENCES + 1))
    return {**example, "texts": [" ".join(random.choice(WORDS, count)) for count in counts]}


def sources(model: Body, example: Body, random: np.random.Generator) -> Body:
    """Texts to translate: words of letters, or a few words; by one text or several at a time."""
    texts = example["texts"] if isinstance(example["texts"], list) else [example["texts"]]
    if any(" " in text for text in texts):
        texts = [" ".join(random.choice(text.split(), random.integers(1, 6))) for text in texts]
    else:
        letters = list(string.ascii_lowercase)
        texts = ["".join(random.choice(letters, random.integers(2, 12))) for _ in texts]
    return {**example, "texts": texts, "beam": int(random.choice([1, 2, 4])), "n_best": 1}


def prompts(model: Body, example: Body, random: np.random.Generator) -> Body:
    """Prompts of a few words, drawn from or not, with a seed."""
    text = " ".join(random.choice(WORDS[:12], random.integers(1, 12)))
    return {
        **{key: value for key, value in example.items() if key != "stop"},
        "prompts": [text],
        "max_tokens": int(random.integers(1, 60)),
        "temperature": float(random.choice([0.0, 0.7, 1.0])),
        "seed": int(random.integers(1_000)),
    }


def series(model: Body, example: Body, random: np.random.Generator) -> Body:
    """The example's series, each value moved, the ends of their histories kept."""
    changed = copy.deepcopy(example)
    for one in changed["series"]:
        one["values"] = [
            None if value is None else round(value * random.uniform(0.5, 1.5), 1)
            for value in one["values"]
        ]
    return changed


MAKERS: dict[str, Maker] = {
    "sequences": frames,
    "texts": sentences,
    "prompts": prompts,
    "series": series,
}
"""By the field that a task's example has its input in."""


def make_request(model: Body, example: Body, random: np.random.Generator) -> Body:
    """Another request to this model."""
    if model["task"] == "translation":
        return sources(model, example, random)
    (field,) = MAKERS.keys() & example.keys()
    return MAKERS[field](model, example, random)
