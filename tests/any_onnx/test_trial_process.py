"""Graphs are tried with empty axes in a process beside the server's: it may end, or take too long.

It is made to do so by other programs in its place, or by a graph that never comes to an end; never
by one that harms onnxruntime.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from service.graphs.checks.process import TrialProcess, said_empty
from service.graphs.spec import Signature, TensorSpec
from tests.any_onnx.made import graph, one_node, tensor, write
from tests.servers import START_S

ANY = Signature((TensorSpec("x", "FP32", (-1, -1)),), ())
SHORT_S = 0.2  # of CPU time


def program(text: str) -> tuple[str, ...]:
    return sys.executable, "-c", f"import sys, time\ninput()\n{text}"


def line(*axes: tuple[str, int]) -> str:
    return f"print({json.dumps(axes)!r}, flush=True)\n"


def endless_when_empty() -> ModelProto:
    """`y` is `x`, by a loop that turns for ever if there is nothing in it."""
    names = ("goes_on", "kept")
    body = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in names],
        "body",
        [
            tensor("turn", [], TensorProto.INT64),
            tensor("goes_on", [], TensorProto.BOOL),
            tensor("kept", ["n", "m"]),
        ],
        [tensor("goes_on_out", [], TensorProto.BOOL), tensor("kept_out", ["n", "m"])],
    )
    nodes = [
        helper.make_node("Size", ["x"], ["size"]),
        helper.make_node("Equal", ["size", "none"], ["is_empty"]),
        helper.make_node("Loop", ["", "is_empty", "x"], ["y"], body=body),
    ]
    return graph(nodes, [tensor("x", ["n", "m"])], [tensor("y", ["n", "m"])], none=np.array(0))


@pytest.mark.parametrize(
    "end", ["sys.exit(1)", "import os; os.abort()", "print('[[\"z\"', end='')"]
)
def test_what_was_shown_before_the_process_ended_counts(end: str) -> None:
    text = line(("x", 1)) + line(("x", 1), ("z", 2)) + end
    trials = TrialProcess(program(text))
    for _ in range(2):  # each graph has a process, though the one before it ended its own
        trials.begin(Path("any"), ANY)
        assert trials.seen() == {frozenset({("x", 1)}), frozenset({("x", 1), ("z", 2)})}
    trials.close()


def test_results_that_nobody_asked_for_are_not_the_next_graphs(tmp_path: Path) -> None:
    taken = write(tmp_path, "taken", one_node("Neg", ["n", "m"], ["n", "m"])) / "model.onnx"
    node = helper.make_node("Gather", ["x", "place"], ["y"], axis=1)
    inputs = [tensor("x", ["n", "m"])]
    fails = graph([node], inputs, [tensor("y", ["n"])], place=np.array(0))
    other = write(tmp_path, "fails", fails) / "model.onnx"
    trials = TrialProcess()
    trials.begin(taken, ANY)  # its load failed
    trials.begin(other, ANY)
    assert trials.seen() == frozenset()
    trials.begin(taken, ANY)
    assert trials.seen() == {frozenset({("x", 1)})}
    trials.begin(taken, Signature((TensorSpec("x", "FP32", (-1, 3)),), ()))
    assert trials.seen() == frozenset(), "there is nothing to try"
    trials.close()


def test_a_graph_that_takes_too_long_is_not_seen_and_the_next_is(tmp_path: Path) -> None:
    endless = write(tmp_path, "endless", endless_when_empty()) / "model.onnx"
    taken = write(tmp_path, "taken", one_node("Neg", ["n", "m"], ["n", "m"])) / "model.onnx"
    short = f"import sys, service.graphs.checks.empty as it; it.TRIALS_S = {SHORT_S}; "
    trials = TrialProcess((sys.executable, "-c", short + "it.main(sys.stdin, sys.stdout)"))
    trials.begin(endless, ANY)
    assert trials.seen() == frozenset()
    trials.begin(taken, ANY)
    assert trials.seen() == {frozenset({("x", 1)})}
    trials.close()


def test_who_waits_goes_on_when_it_is_stopped() -> None:
    trials = TrialProcess(program("time.sleep(600)"))
    trials.begin(Path("any"), ANY)
    waiting = threading.Thread(target=trials.seen)
    waiting.start()
    trials.stop()
    waiting.join(START_S)
    assert not waiting.is_alive()


def test_no_process_to_be_had_is_nothing_seen() -> None:
    trials = TrialProcess(("/nowhere",))
    trials.begin(Path("any"), ANY)
    assert trials.seen() == frozenset()


def test_many_axes_are_counted() -> None:
    axes = frozenset((f"past.{layer}", 2) for layer in range(9))
    assert said_empty(frozenset({axes})).endswith("axis 2 of past.2 and 6 more")
