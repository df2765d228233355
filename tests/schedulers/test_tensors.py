"""Whole tensors: requests alike run together, and each has its own rows back."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service import native
from service.engine.engine import Engine
from service.errors import InvalidRequestError, UnfitTensorsError
from service.graphs.model import Arrays
from service.graphs.spec import Signature, TensorSpec
from service.graphs.tensors import TensorModel
from service.schedulers.job import Job
from service.schedulers.tensors import TensorScheduler
from service.telemetry.metrics import Metrics
from tests.engine.harness import DEFAULTS
from tests.fakes import MARK, TIMEOUT_S


class HashedRows(TensorModel):
    """Answers each row with the sum of its values; fails where one is `MARK`."""

    def __init__(self) -> None:
        inputs = (TensorSpec("x", "FP32", (-1, -1)), TensorSpec("y", "FP32", (-1, -1)))
        bias = TensorSpec("bias", "FP32", (1,), is_optional=True)
        self.signature = Signature((*inputs, bias), (TensorSpec("sum", "FP32", (-1,)),))
        self.left_out = []
        self.runs: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def run(self, tensors: Arrays) -> Arrays:
        assert self.gate.wait(TIMEOUT_S)
        self.runs.append(len(tensors["x"]))
        if any((array == MARK).any() for array in tensors.values()):
            raise ValueError("a marked value")
        bias = tensors.get("bias", np.zeros(1, np.float32))
        return {"sum": tensors["x"].sum(axis=1) + tensors["y"].sum(axis=1) + bias[0]}


def made(model: HashedRows, is_batchable: bool = True, **bounds: Any) -> TensorScheduler:
    metrics = Metrics().of_model("rows", "1")
    scheduler = TensorScheduler(model, is_batchable, replace(DEFAULTS, **bounds), metrics)
    model.runs.clear()  # those that measured it
    return scheduler


def tensors(rows: int, width: int, start: int, **others: NDArray[np.float32]) -> Arrays:
    values = np.arange(start, start + rows * width, dtype=np.float32).reshape(rows, width)
    return {"x": values % 90, "y": values % 7, **others}


asked = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 20),
        "width": st.integers(1, 3),
        "start": st.integers(0, 50),
        "fate": st.sampled_from(["answered", "answered", "fails", "cancelled", "biased"]),
        "priority": st.integers(1, 3),
    }
)


@settings(max_examples=40)
@given(st.lists(asked, min_size=1, max_size=12), st.integers(1, 2), st.booleans())
def test_each_has_its_own_answer(
    requests: list[dict[str, Any]], num_threads: int, is_batchable: bool
) -> None:
    model = HashedRows()
    scheduler = made(model, is_batchable, engine_threads=num_threads)
    engine = Engine(num_threads)
    engine.add(scheduler)
    model.gate.clear()
    told: dict[int, Job] = {}

    async def scenario() -> None:
        all_told = asyncio.Event()
        jobs = []
        left = sum(request["fate"] != "cancelled" for request in requests)

        def on_done(index: int, job: Job) -> None:
            assert index not in told, "told twice"
            told[index] = job
            if len(told) == left:
                all_told.set()

        for index, request in enumerate(requests):
            given = tensors(request["rows"], request["width"], request["start"])
            if request["fate"] == "fails":
                given["y"][-1, -1] = MARK
            if request["fate"] == "biased":
                given["bias"] = np.full(1, 1_000.0, np.float32)
            job = engine.submit(
                scheduler, given, TIMEOUT_S,
                partial(on_done, index), request["priority"],
            )  # fmt: skip
            jobs.append(job)
        for job, request in zip(jobs, requests, strict=True):
            if request["fate"] == "cancelled":
                engine.cancel(job)
        del job
        jobs.clear()  # a caller that left holds nothing
        model.gate.set()
        if left:
            await asyncio.wait_for(all_told.wait(), TIMEOUT_S)

    asyncio.run(scenario())
    engine.close()
    for index, job in told.items():
        request = requests[index]
        if request["fate"] == "fails":
            with pytest.raises(UnfitTensorsError, match="a marked value"):
                scheduler.results(job)
            continue
        given = tensors(request["rows"], request["width"], request["start"])
        wanted = given["x"].sum(axis=1) + given["y"].sum(axis=1)
        wanted += 1_000 if request["fate"] == "biased" else 0
        assert scheduler.results(job)["sum"].tolist() == wanted.tolist()
    assert scheduler.core.num_waiting == scheduler.core.num_active == 0


def run_by_hand(scheduler: TensorScheduler, *given: Arrays) -> list[int]:
    """How many requests each run has, all there from the start."""
    jobs = [scheduler.make_job(one, lambda job: None, 2, TIMEOUT_S) for one in given]
    workspace = native.Workspace()
    counts = []
    for job in jobs:
        scheduler.core.enqueue(job)
    while (run := scheduler.core.take()) is not None:
        counts.append(run.num_rows)
        scheduler.core.complete(run, *scheduler.compute(run, workspace))
    return counts


def test_only_what_is_alike_runs_together() -> None:
    model = HashedRows()
    scheduler = made(model, max_batch_size=100)
    alike, others = [tensors(2, 3, 0)] * 3, [tensors(2, 2, 0)] * 2
    assert sorted(run_by_hand(scheduler, alike[0], *others, *alike[1:])) == [2, 3]
    bias = {"bias": np.ones(1, np.float32)}
    assert run_by_hand(scheduler, tensors(1, 1, 0, **bias), tensors(1, 1, 0, **bias)) == [1, 1]
    empty = [tensors(2, 0, 0)] * 2
    assert run_by_hand(scheduler, *empty) == [1, 1], "company was not tried with an empty axis"


def test_a_batch_has_no_more_rows_than_it_may_but_for_one_that_is_larger() -> None:
    model = HashedRows()
    scheduler = made(model, max_batch_size=8)
    assert run_by_hand(scheduler, *[tensors(3, 1, 0)] * 5) == [2, 2, 1]
    assert run_by_hand(scheduler, tensors(50, 1, 0), tensors(1, 1, 0)) == [1, 1]


def test_rows_that_depend_on_each_other_run_alone() -> None:
    assert run_by_hand(made(HashedRows(), is_batchable=False), *[tensors(1, 1, 0)] * 3) == [1] * 3


def test_inputs_with_other_numbers_of_rows_are_refused_by_name() -> None:
    scheduler = made(HashedRows())
    given = {"x": np.ones((2, 1), np.float32), "y": np.ones((3, 1), np.float32)}
    with pytest.raises(InvalidRequestError, match="y has 3 rows"):
        scheduler.make_job(given, lambda job: None, 2, TIMEOUT_S)
