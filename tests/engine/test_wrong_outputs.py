"""A graph that answers in a wrong shape: an error for its batch, never a wrong answer or a hang."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from service.engine.engine import Engine
from service.errors import BundleError, InferenceError
from service.graphs.checks.invariance import check_invariance, probe
from service.graphs.model import Arrays
from tests.engine.harness import Observed, predict
from tests.fakes import (
    MARK,
    SumModel,
    check_result,
    make_manifest,
    make_sequence,
    marked,
)

Damage = Callable[[Arrays], Arrays]


def drop(name: str) -> Damage:
    return lambda outputs: {key: value for key, value in outputs.items() if key != name}


def change(name: str, how: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Damage:
    return lambda outputs: outputs | {name: how(outputs[name])}


DAMAGES: list[tuple[Literal["cells", "sequences"], Damage, str]] = [
    ("cells", change("logits", lambda a: a[:-1]), "logits"),
    ("cells", change("logits", lambda a: np.concatenate([a, a])), "logits"),
    ("cells", change("logits", lambda a: a[:, :1]), "logits"),
    ("cells", drop("logits"), "logits"),
    ("cells", change("logits", lambda a: a.astype(np.float64)), "logits"),
    ("cells", change("hash_out", lambda a: a.astype(">f4")), "hash_out"),
    ("cells", drop("count_out"), "count_out"),
    ("cells", change("hash_out", lambda a: a[:, :, None]), "hash_out"),
    ("cells", change("hash_out", lambda a: a[:1, :0]), "hash_out"),
    ("sequences", change("logits", lambda a: a[0]), "logits"),
    ("sequences", change("weights", lambda a: a[:, :-1]), "weights"),
    ("sequences", change("weights", lambda a: a[:-1]), "weights"),
    ("sequences", drop("weights"), "weights"),
    ("sequences", change("weights", lambda a: np.nan_to_num(a).astype(np.int64)), "weights"),
]
each_damage = pytest.mark.parametrize(("kind", "damage", "name"), DAMAGES)


class DamagedModel(SumModel):
    """Damages the outputs of the batches in which a step holds `MARK`, or of all."""

    damage: Damage
    always = False

    def run(self, inputs: NDArray[np.float32], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        outputs = super().run(inputs, lengths, state)
        return self.damage(outputs) if self.always or (inputs == MARK).any() else outputs


def damaged(kind: Literal["cells", "sequences"], damage: Damage) -> DamagedModel:
    model = DamagedModel(make_manifest(kind, weights=kind == "sequences"))
    model.damage = damage
    return model


@each_damage
def test_wrong_outputs_fail_their_batch_and_the_thread_goes_on(
    kind: Literal["cells", "sequences"], damage: Damage, name: str
) -> None:
    served = Observed(damaged(kind, damage), chunk_steps=2)
    good = make_sequence([1, 2, 3])
    engine = Engine(1)
    engine.add(served.scheduler)

    async def scenario() -> None:
        with pytest.raises(InferenceError) as failure:
            await predict(engine, served.scheduler, [marked(good), good])
        assert f"output {name} " in str(failure.value.__cause__)
        (result,) = await predict(engine, served.scheduler, [good])
        check_result(result, good)

    asyncio.run(scenario())
    engine.close()
    served.check_empty()


@each_damage
def test_wrong_outputs_are_refused_at_load(
    kind: Literal["cells", "sequences"], damage: Damage, name: str
) -> None:
    model = damaged(kind, damage)
    model.always = True
    with pytest.raises(BundleError, match=f"output {name} (has shape|is)"):
        check_invariance(model, probe(model.spec, 4), chunk_steps=4)


@pytest.mark.parametrize("kind", ["cells", "sequences"])
@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    ],
)
def test_outputs_of_another_layout_are_what_they_say(
    kind: Literal["cells", "sequences"], layout: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    names = ["logits", *(("hash_out", "count_out") if kind == "cells" else ("weights",))]
    model = damaged(kind, lambda outputs: {name: layout(outputs[name]) for name in names})
    model.always = True
    served = Observed(model, chunk_steps=2)
    asked = [make_sequence(range(start, 40)) for start in (20, 18, 21)]
    engine = Engine(1)
    engine.add(served.scheduler)

    async def scenario() -> None:
        results = await predict(engine, served.scheduler, asked)
        for result, sequence in zip(results, asked, strict=True):
            check_result(result, sequence)

    asyncio.run(scenario())
    engine.close()
    served.check_empty()
