"""Generation: language models that say which character comes next."""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

from models import Architecture, SequenceModel, build
from models.decoders.causal import CausalTransformer
from models.families import HeadName
from service.manifest import Inputs, Limits, Outputs, Profile
from service.tasks.generation.settings import Cache, GenerationSettings
from training.data.texts.characters import TextSet, load_texts, load_tinyshakespeare
from training.recipe import Recipe
from training.task import Contract, Run, TrainingTask, scores_of
from training.tasks.generation.ngrams import MAX_GRAMS, ngram_nats
from training.tasks.generation.objective import TextObjective, nats_per_character

METRIC = "nats_per_character"
RECURRENT = {"hidden_size": 256, "num_layers": 1, "embedding_size": 64, "dropout": 0.0}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn_tanh", **RECURRENT},
    "lstm": {"cell": "lstm", **RECURRENT},
    "gru": {"cell": "gru", **RECURRENT},
    "transformer": {
        "width": 128,
        "num_heads": 4,
        "num_layers": 4,
        "window": 64,
        "reach": 3,
        "dropout": 0.0,
    },
}
LEARNING_RATES = {"rnn": 2e-3, "lstm": 1.6e-2, "gru": 6e-3, "transformer": 4e-3}
MUON_LEARNING_RATES = {"lstm": 8e-2, "gru": 4e-2}
"""Of the families that learn by it; the Transformer has many small matrices, which make it slow."""

MAX_LENGTH = 4_096
SLICE_CHARACTERS = 2_000
"""Of the test part's beginning, scored by itself too: few enough to score through a server."""
NGRAM_ORDERS = (1, 3, 5, 7)
REHEARSED = 64
"""Characters that are scored before the training."""

LanguageModel = SequenceModel | CausalTransformer


class GenerationTask(TrainingTask[TextSet, TextObjective]):
    """Of texts by character."""

    name = "generation"

    def load(self, dataset: str = "", train: str = "", test: str = "", **options: Any) -> TextSet:
        """`dataset = "tinyshakespeare"`; or a user's `train` and `test` files."""
        if dataset == "tinyshakespeare":
            return load_tinyshakespeare()
        if dataset:
            raise ValueError(f"no data set {dataset!r}; there is tinyshakespeare")
        return load_texts(Path(train), Path(test), **options)

    def default_recipe(self, family: str, data: TextSet) -> Recipe:
        """Windows of 64 characters."""
        return Recipe(
            learning_rate=LEARNING_RATES.get(family, 0.0),
            muon_learning_rate=MUON_LEARNING_RATES.get(family),
            mixed_precision="bf16" if family in MUON_LEARNING_RATES else None,
            steps=4_500,
            label_smoothing=0.0,
            validation_share=0.02,
            evaluate_every=500,
            tbptt_window=64,
        )

    def default_architecture(self, family: str, data: TextSet, **sizes: Any) -> dict[str, Any]:
        """The family's sizes, with these where given."""
        if family not in ARCHITECTURES:
            raise ValueError(f"unknown family {family!r}; there are {', '.join(ARCHITECTURES)}")
        known = ARCHITECTURES[family]
        if unknown := set(sizes) - set(known):
            raise ValueError(f"unknown sizes of a {family}: {', '.join(sorted(unknown))}")
        return {"family": family, "num_tokens": len(data.symbols), **known, **sizes}

    def begin(self, run: Run, data: TextSet) -> tuple[LanguageModel, TextObjective]:
        """A new model, and the end of the text to learn from held back to validate on.

        Raises:
            ValueError: There is no window, or the text is shorter than a few.
        """
        window, batch_size = run.recipe.tbptt_window, run.recipe.batch_size
        if window is None:
            raise ValueError("tbptt_window: a text is learnt by windows")
        cut = round((1 - run.recipe.validation_share) * len(data.train))
        if min(cut, len(data.train) - cut) <= window:
            raise ValueError(f"{len(data.train)} characters are too few to learn and validate on")
        objective = TextObjective(
            data.train[:cut],
            data.train[cut:],
            window,
            batch_size,
            reads_on=run.architecture["family"] != "transformer",
        )
        return _build(run.architecture, head="per_step"), objective

    def rebuild(self, architecture: dict[str, Any]) -> LanguageModel:
        """The form that is served: of a recurrent one, logits after each row's last step alone."""
        return _build(architecture, head="last")

    def measure(
        self, model: LanguageModel, data: TextSet, objective: TextObjective
    ) -> dict[str, Any]:
        """Nats and bits a character of the whole test part, each character given all before it."""
        parts = {"test": data.test, "validation": objective.validation}
        scores: dict[str, dict[str, float]] = {}
        for name, text in parts.items():
            nats = nats_per_character(model, text)
            scores[name] = {METRIC: nats, "bits_per_character": nats / math.log(2)}
        begin = data.symbols.index(_begin(data))
        piece = data.test[:SLICE_CHARACTERS]
        scores["test"]["slice_characters"] = len(piece)
        scores["test"]["slice_nats_per_character"] = nats_per_character(model, piece, begin=begin)
        return {
            "metric": METRIC,
            "higher_is_better": False,
            "sequences": {
                "train": len(objective.text),
                "validation": len(objective.validation),
                "test": len(data.test),
            },
            **scores,
        }

    def baselines(self, data: TextSet) -> dict[str, Any]:
        """Nats a character of n-grams, for as many characters as the test part has."""
        size = len(data.symbols)
        return {
            "baselines": {
                f"{order}-grams": ngram_nats(data.train, data.test, size, order)
                for order in NGRAM_ORDERS
                if size**order <= MAX_GRAMS and order <= min(len(data.train), len(data.test))
            }
        }

    def check(self, data: TextSet) -> list[str]:
        """Each part has more characters than one, and what is learnt from different ones."""
        faults = [
            f"the {name} part has {len(text)} characters: give it two at least"
            for name, text in self.parts(data).items()
            if len(text) < 2
        ]
        if len(data.symbols) < 2:
            faults.append("the train part repeats one character: give it a text")
        return faults

    def rehearse(
        self, model: LanguageModel, data: TextSet, objective: TextObjective
    ) -> dict[str, Any]:
        """Of the beginning of each part: every text of two characters can be scored."""
        short = dataclasses.replace(data, test=data.test[:REHEARSED])
        part = copy.copy(objective)
        part.validation = objective.validation[:REHEARSED]
        return self.measure(model, short, part)

    def profile(self, data: TextSet, objective: TextObjective) -> Profile:
        """Of the windows that it learns from, all of one length."""
        return Profile(
            length_quantiles={"0.5": float(objective.window)}, vocabulary_coverage=data.coverage
        )

    def contract(
        self,
        run: Run,
        data: TextSet,
        objective: TextObjective,
        model: LanguageModel,
        metrics: dict[str, Any],
    ) -> Contract:
        """Characters in, logits of the next one out."""
        cache = None
        if isinstance(model, CausalTransformer):
            cache = Cache(width=model.cache_width, window=model.window)
        return Contract(
            inputs=Inputs(tokens=[len(data.symbols)]),
            outputs=Outputs(labels=data.symbols),
            limits=Limits(max_length=MAX_LENGTH),
            quality=scores_of(metrics),
            profile=self.profile(data, objective),
            settings=GenerationSettings(begin=_begin(data), unknown=data.unknown, cache=cache),
        )


def _build(architecture: dict[str, Any], head: HeadName) -> LanguageModel:
    """A language model of any family; its weights are the same with either head."""
    sizes = {name: value for name, value in architecture.items() if name != "family"}
    if architecture["family"] == "transformer":
        return CausalTransformer(**sizes)
    num_tokens = sizes["num_tokens"]
    return build(Architecture(architecture["family"], 0, num_tokens, head=head, **sizes))


def _begin(data: TextSet) -> str:
    """What a text begins after: a new line."""
    return "\n" if "\n" in data.symbols else data.unknown
