"""Pairs of texts in the tokens that a translator reads and writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from models.decoders.translator import Translator
from service.decoding.prompt import Beam
from service.tasks.translation.interpreter import Interpreter
from service.tasks.translation.settings import Writing
from service.tasks.translation.vocabulary import Vocabulary
from training.data.limits import longest_accepted
from training.data.pairs.pairs import Pair, Pairs
from training.tasks.translation.objective import Example, translate
from training.tasks.translation.scores import Metric, scores

SPARE = 1.5
"""A source or a target may be so many times as long as the longest of the training part; those of
the other parts are accepted in any case."""


@dataclasses.dataclass(frozen=True)
class Texts:
    """Pairs, and how they are written in tokens.

    Args:
        pairs: In their parts.
        interpreter: Its vocabularies are the training part's.
        metric: The chief one.
        max_source: Units of a source, at most.
        max_tokens: Of a target, at most, its end among them.
    """

    pairs: Pairs
    interpreter: Interpreter
    metric: Metric
    max_source: int
    max_tokens: int

    @property
    def name(self) -> str:
        """Of the pairs."""
        return self.pairs.name

    @property
    def licence(self) -> str:
        """Likewise."""
        return self.pairs.licence

    @property
    def split(self) -> str:
        """Likewise."""
        return self.pairs.split

    def examples(self, pairs: Sequence[Pair]) -> list[Example]:
        """Each source with each of its right targets."""
        interpreter = self.interpreter
        return [
            Example(
                interpreter.read(pair.source).numbers,
                interpreter.target.encode(interpreter.target_units(target)),
            )
            for pair in pairs
            for target in pair.targets
        ]

    def score(self, model: Translator, pairs: Sequence[Pair], beam: int) -> dict[str, float]:
        """How good a model in evaluation mode translates, by name."""
        interpreter = self.interpreter
        sources = [interpreter.read(pair.source) for pair in pairs]
        made = translate(
            model,
            [source.numbers for source in sources],
            Beam(beam, self.max_tokens),
            interpreter.forbidden,
        )
        texts = [
            interpreter.text(interpreter.write(each.tokens.tolist(), each.attention, source))
            for each, source in zip(made, sources, strict=True)
        ]
        return scores(self.metric, texts, [pair.targets for pair in pairs])


def written(
    pairs: Pairs,
    writing: Writing,
    metric: Metric,
    max_vocabulary: int | None = None,
    min_count: int = 1,
) -> Texts:
    """Pairs with the vocabularies of their training part; see `TranslationTask.load`."""
    nothing = Vocabulary.learn([])
    reader = Interpreter(writing, nothing, nothing)
    sources = [reader.source_units(pair.source) for pair in pairs.train]
    targets = [reader.target_units(target) for pair in pairs.train for target in pair.targets]
    others = [*pairs.validation, *pairs.test]
    other_sources = [len(reader.source_units(pair.source)) for pair in others]
    other_targets = [len(reader.target_units(it)) for pair in others for it in pair.targets]
    vocabularies = [
        Vocabulary.learn(units, max_vocabulary, min_count) for units in (sources, targets)
    ]
    return Texts(
        pairs,
        Interpreter(writing, *vocabularies),
        metric,
        max_source=longest_accepted(map(len, sources), other_sources, margin=SPARE),
        max_tokens=longest_accepted(map(len, targets), other_targets, margin=SPARE) + 1,
    )
