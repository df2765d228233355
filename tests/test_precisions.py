"""A model of two precisions answers in both, side by side; a bad one leaves the other serving."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.app import bounds_of
from service.engine.engine import Engine
from service.errors import InvalidRequestError, ModelNotReadyError
from service.manifest import MANIFEST_FILE, Precision
from service.repository.repository import Repository
from service.repository.served import Served
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.engine.harness import predict
from tests.fakes import TIMEOUT_S, Result, Steps, make_sequence
from tests.graphs.made import (
    VARIANT_FILE,
    expected_sums,
    sum_graph,
    write_sum_bundle,
    write_variant,
)

OFFSET = 1_000.0  # by which the variant's logits tell themselves apart

Load = Callable[..., Repository]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with a model of either kind in both precisions, and one with fp32 alone."""
    for kind in ("cells", "sequences"):
        bundle = write_sum_bundle(tmp_path, f"both-{kind}", kind)
        write_variant(bundle, sum_graph(kind, offset=OFFSET))
    alone = write_sum_bundle(tmp_path, "alone")
    document = json.loads((alone / MANIFEST_FILE).read_text())
    document["refused_variants"] = {"int8": "nothing in it has an int8 operator"}
    (alone / MANIFEST_FILE).write_text(json.dumps(document))
    return tmp_path


@pytest.fixture
def load() -> Iterator[Load]:
    """Loads a repository with a default precision; closes it and its engine."""
    opened: list[Any] = []

    def make(folder: Path, precision: Precision = "fp32") -> Repository:
        engine = Engine(2)
        bounds = bounds_of(Settings())
        repository = Repository(folder, engine, Metrics(), bounds, precision)
        opened.extend([engine, repository])
        repository.start()
        assert repository._scanned.wait(TIMEOUT_S)
        return repository

    yield make
    for item in reversed(opened):
        item.close()


def ask(repository: Repository, *questions: tuple[Served, Steps]) -> list[Result]:
    """The answers to these sequences, all asked at once."""

    async def run() -> list[list[Result]]:
        return await asyncio.gather(
            *(
                predict(repository._keeper._loader._engine, served.scheduler, [steps])
                for served, steps in questions
            )
        )

    return [result for results in asyncio.run(run()) for result in results]


def totals(steps: Steps, precision: str) -> list[float]:
    return [total + (OFFSET if precision == "int8" else 0.0) for total in expected_sums(steps)]


@pytest.mark.parametrize("kind", ["cells", "sequences"])
def test_both_precisions_answer_side_by_side(kind: str, folder: Path, load: Load) -> None:
    repository = load(folder)
    name = f"both-{kind}"
    asked = [
        (precision, make_sequence(range(1, 2 + length)))
        for length in range(30)
        for precision in ("int8", "fp32")
    ]
    answers = ask(
        repository, *((repository.get(name, None, precision), steps) for precision, steps in asked)
    )
    for answer, (precision, steps) in zip(answers, asked, strict=True):
        assert answer.logits.tolist() == totals(steps, precision)
    repository._keeper._metrics.bring()
    counted = [
        repository._keeper._metrics.registry.get_sample_value(
            "seqserve_cells_total",
            {"model": name, "version": "1", "precision": precision, "kind": "real"},
        )
        for precision in ("fp32", "int8")
    ]
    assert counted == [sum(range(1, 31))] * 2


@pytest.mark.parametrize("default", ["fp32", "int8"])
def test_the_setting_answers_who_asks_for_none(
    default: Precision, folder: Path, load: Load
) -> None:
    repository = load(folder, default)
    assert repository.get("both-cells").precision == default
    assert repository.get("both-cells", "1", "fp32").precision == "fp32"
    assert repository.get("both-cells", "1", "int8").precision == "int8"
    assert repository.get("alone").precision == "fp32"
    assert repository.is_ready(strict=True)


@pytest.mark.parametrize(
    ("name", "precision", "reason"),
    [
        (
            "alone",
            "int8",
            "precision 'int8' is none of model 'alone', which has fp32: nothing in it has an",
        ),
        ("both-cells", "int4", "precision 'int4' is none of .* which has fp32 and int8"),
        ("both-cells", "", "precision '' is none of"),
    ],
)
def test_a_precision_that_is_not_there_is_refused_by_name(
    name: str, precision: str, reason: str, folder: Path, load: Load
) -> None:
    repository = load(folder)
    with pytest.raises(InvalidRequestError, match=reason) as refusal:
        repository.get(name, None, precision)
    assert refusal.value.field == "precision"
    with pytest.raises(InvalidRequestError, match=r"^parameters\.precision ") as refusal:
        repository.get(name, None, precision, "parameters.precision")
    assert refusal.value.field == "parameters.precision"


def tamper(bundle: Path) -> None:
    (bundle / VARIANT_FILE).write_bytes(sum_graph(offset=OFFSET + 1))


def let_neighbours_in(bundle: Path) -> None:
    write_variant(bundle, sum_graph(offset=OFFSET, reads_padding=True), tolerance=0.5)


def no_graph(bundle: Path) -> None:
    write_variant(bundle, b"not a graph")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (tamper, "has sha256"),
        (let_neighbours_in, "not batch-invariant"),
        (no_graph, "can't load the graph"),
    ],
)
def test_a_bad_variant_leaves_the_model_serving(
    damage: Callable[[Path], None], reason: str, folder: Path, load: Load
) -> None:
    damage(folder / "both-cells" / "1")
    repository = load(folder)
    served = repository.get("both-cells")
    steps = make_sequence([1, 2, 3])
    assert ask(repository, (served, steps))[0].logits.tolist() == expected_sums(steps)
    with pytest.raises(ModelNotReadyError, match=f"int8 of model 'both-cells' .*{reason}"):
        repository.get("both-cells", None, "int8")
    assert (
        repository._keeper._metrics.registry.get_sample_value("seqserve_model_load_failures_total")
        == 1
    )


def test_a_bad_variant_that_is_to_answer_refuses_the_model(folder: Path, load: Load) -> None:
    tamper(folder / "both-cells" / "1")
    repository = load(folder, "int8")
    with pytest.raises(ModelNotReadyError, match="has sha256"):
        repository.get("both-cells")
    assert not repository.is_ready(strict=True)
    assert repository.get("both-sequences").precision == "int8"
