"""Translation: pairs of texts, an encoder-decoder, and the search that also serves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from models.decoders.transformer import TransformerTranslator
from models.decoders.translator import RecurrentTranslator, Translator
from service.manifest import Inputs, Limits, Outputs, Profile
from service.tasks.translation.settings import (
    SOURCE_FILE,
    TARGET_FILE,
    TranslationSettings,
    Writing,
)
from service.tasks.translation.vocabulary import UNKNOWN
from training.data.pairs.cmudict import load_cmudict
from training.data.pairs.dates import load_dates
from training.data.pairs.ddtp import load_ddtp
from training.data.pairs.pairs import Pair, load_tables
from training.data.profile import length_profile
from training.data.reading import READING_OPTIONS
from training.recipe import Recipe
from training.task import Contract, Run, TrainingTask, scores_of
from training.tasks.translation.objective import TranslationObjective
from training.tasks.translation.scores import HIGHER_IS_BETTER, Metric, scores
from training.tasks.translation.texts import Texts, written

MODELS: dict[str, Callable[..., Translator]] = {
    "gru": partial(RecurrentTranslator, cell="gru"),
    "lstm": partial(RecurrentTranslator, cell="lstm"),
    "transformer": TransformerTranslator,
}
DATASETS = {"cmudict": load_cmudict, "dates": load_dates, "ddtp": load_ddtp}

TABLE_OPTIONS = READING_OPTIONS | {"source", "target"}
BEAM = 4
SAMPLE = 100
"""Test pairs whose scores are told apart too, for a server to be held against."""
REHEARSED = 4
"""Pairs of each part that are translated, and their tokens, before the training."""


class TranslationTask(TrainingTask[Texts, TranslationObjective]):
    """Of texts."""

    name = "translation"
    own_options = frozenset({"metric", "max_vocabulary", "min_count", *Writing.model_fields})

    def load(
        self,
        dataset: str = "",
        metric: Metric = "exact_match",
        max_vocabulary: int | None = None,
        min_count: int = 1,
        train: str = "",
        valid: str = "",
        test: str = "",
        **writing: Any,
    ) -> Texts:
        """A known `dataset`; or a user's tables `train`, `test` and perhaps `valid`.

        Args:
            dataset: One of `DATASETS`.
            metric: What decides.
            max_vocabulary: Units of each side's vocabulary at most, the special ones among them.
            min_count: How often a unit must be there to be of the vocabulary.
            train: A table, see `training.data.pairs.pairs`.
            valid: Likewise.
            test: Likewise.
            writing: See `service.tasks.translation.settings.Writing`, and for the tables
                `training.data.pairs.pairs.read_pairs`.
        """
        if metric not in HIGHER_IS_BETTER:
            raise ValueError(f"no metric {metric!r}; there are {', '.join(HIGHER_IS_BETTER)}")
        if dataset and dataset not in DATASETS:
            raise ValueError(f"no data set {dataset!r}; there are {', '.join(DATASETS)}")
        if dataset:
            pairs = DATASETS[dataset]()
        else:
            reading = {key: writing.pop(key) for key in TABLE_OPTIONS if key in writing}
            pairs = load_tables(Path(train), Path(test), Path(valid) if valid else None, **reading)
        return written(pairs, Writing(**writing), metric, max_vocabulary, min_count)

    def default_recipe(self, family: str, data: Texts) -> Recipe:
        """Alike for all families."""
        return Recipe(
            learning_rate=2e-3,
            steps=3_000,
            batch_size=128,
            weight_decay=0.01,
            warmup_share=0.05,
            evaluate_every=500,
        )

    def default_architecture(self, family: str, data: Texts, **sizes: Any) -> dict[str, Any]:
        """The family's own, with the vocabularies' sizes."""
        if family not in MODELS:
            raise ValueError(f"unknown family {family!r}; there are {', '.join(MODELS)}")
        return {
            "family": family,
            "num_source_tokens": len(data.interpreter.source),
            "num_target_tokens": len(data.interpreter.target),
            **sizes,
        }

    def begin(self, run: Run, data: Texts) -> tuple[nn.Module, TranslationObjective]:
        """A new model; the chief metric of greedy translations decides."""
        validation = data.pairs.validation
        sign = 1 if HIGHER_IS_BETTER[data.metric] else -1
        objective = TranslationObjective(
            data.examples(data.pairs.train),
            data.examples(validation),
            run.recipe.label_smoothing,
            lambda model: sign * data.score(model, validation, beam=1)[data.metric],
        )
        return self.rebuild(run.architecture), objective

    def rebuild(self, architecture: dict[str, Any]) -> Translator:
        """Of any family."""
        sizes = {name: value for name, value in architecture.items() if name != "family"}
        return MODELS[architecture["family"]](**sizes)

    def measure(
        self, model: Translator, data: Texts, objective: TranslationObjective
    ) -> dict[str, Any]:
        """Scores of the service's own search and of the greedy one."""
        model.eval()
        pairs, sample = data.pairs, data.pairs.test[:SAMPLE]
        greedy = data.score(model, pairs.test, beam=1)
        return {
            "metric": data.metric,
            "higher_is_better": HIGHER_IS_BETTER[data.metric],
            "beam": BEAM,
            "sequences": {
                "train": len(pairs.train),
                "validation": len(pairs.validation),
                "test": len(pairs.test),
            },
            "test": {
                **data.score(model, pairs.test, BEAM),
                **{f"{name}_greedy": value for name, value in greedy.items()},
            },
            "validation": data.score(model, pairs.validation, BEAM),
            "sample": {"sequences": len(sample), **data.score(model, sample, BEAM)},
        }

    def baselines(self, data: Texts) -> dict[str, Any]:
        """What the source itself is worth as a translation."""
        return {"baselines": {"copy of the source": copied(data, data.pairs.test)[data.metric]}}

    def rehearse(
        self, model: Translator, data: Texts, objective: TranslationObjective
    ) -> dict[str, Any]:
        """Of some pairs, but for the scores of copied sources, which all parts can have.

        A model that has learnt nothing does not know when to end, so it is slow.
        """
        whole = self.parts(data)
        few = dataclasses.replace(
            data.pairs, **{name: part[:REHEARSED] for name, part in whole.items()}
        )
        short = dataclasses.replace(data, pairs=few, max_tokens=min(REHEARSED, data.max_tokens))
        measured = self.measure(model, short, objective)
        model.train()
        return measured | {
            name: measured[name] | copied(data, whole[name]) for name in ("test", "validation")
        }

    def parts(self, data: Texts) -> dict[str, Any]:
        """The pairs."""
        return super().parts(data.pairs)  # type: ignore[arg-type]

    def profile(self, data: Texts, objective: TranslationObjective) -> Profile:
        """Of the training sources."""
        read = data.interpreter.read
        test = np.concatenate([read(pair.source).numbers for pair in data.pairs.test])
        lengths = [len(source) for source, _ in objective.learnt]
        return length_profile(lengths, float(np.mean(test != UNKNOWN)))

    def contract(
        self,
        run: Run,
        data: Texts,
        objective: TranslationObjective,
        model: Translator,
        metrics: dict[str, Any],
    ) -> Contract:
        """Tokens of one vocabulary in, of the other out."""
        interpreter = data.interpreter
        return Contract(
            inputs=Inputs(tokens=[len(interpreter.source)]),
            outputs=Outputs(values=len(interpreter.target)),
            limits=Limits(max_length=data.max_source),
            quality=scores_of(metrics),
            profile=self.profile(data, objective),
            settings=TranslationSettings(
                writing=interpreter.writing,
                example=example_of(data),
                max_tokens=data.max_tokens,
                beam=metrics["beam"],
                memory_width=model.memory_width,
                cache_width=model.cache_width,
            ),
            files={
                SOURCE_FILE: interpreter.source.to_bytes(),
                TARGET_FILE: interpreter.target.to_bytes(),
            },
        )

    def settings(self, data: Texts) -> dict[str, Any]:
        """With how the texts are written."""
        return {
            **super().settings(data),
            "train_sequences": len(data.pairs.train),
            "writing": data.interpreter.writing.model_dump(),
        }


def copied(data: Texts, pairs: Sequence[Pair]) -> dict[str, float]:
    """What the sources themselves are worth as translations."""
    sources = [pair.source for pair in pairs]
    return scores(data.metric, sources, [pair.targets for pair in pairs])


def example_of(data: Texts) -> str:
    """A source for the documentation: one that is known whole, if there is one."""
    sources = [pair.source for pair in (*data.pairs.validation, *data.pairs.train)]
    read = data.interpreter.read
    return next((source for source in sources if not read(source).unknown), sources[0])
