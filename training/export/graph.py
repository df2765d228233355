"""A trained model to an ONNX graph: one fused operator a recurrent layer, batch and time symbolic.

A second export of a recurrent network in one process has been seen to freeze the time axis without
a word (torch 2.13), so the exporter always runs in a process of its own.
"""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import onnx
import torch
from torch import Tensor, nn

from models import SequenceModel, fuse
from service.manifest import ParityCell, StatePair
from training.card import Card, load_run
from training.export.halves import halve

OPSET = 20
SAMPLE_BATCH, SAMPLE_TIME = 3, 11
"""The shape the exporter traces; no gate uses it, so that a frozen axis can't hide."""

Axes = list[str | int]


@dataclasses.dataclass(frozen=True)
class Signature:
    """The names that a graph must have, and the axes of each: symbols or sizes."""

    inputs: dict[str, Axes]
    outputs: dict[str, Axes]
    state: list[StatePair]
    has_weights: bool


def signature_of(card: Card, model: SequenceModel) -> Signature:
    """What the graph of this model must look like from outside."""
    shapes = model.state_shapes()
    state = [
        StatePair(input=name, output=f"{name}_out", shape=list(shape))
        for name, shape in shapes.items()
    ]
    with torch.inference_mode():
        probe = model(model.front.sample(1, 1), torch.ones(1, dtype=torch.int64))
    has_weights = probe.weights is not None
    each: Axes = ["batch", "time"]
    inputs: dict[str, Axes] = {
        card.inputs.name: [*each, *card.inputs.step_shape],
        card.inputs.lengths: ["batch"],
    }
    axes = each if card.outputs.per_step else each[:1]
    outputs: dict[str, Axes] = {card.outputs.logits: [*axes, card.outputs.width]}
    if has_weights:
        outputs["weights"] = each
    for pair in state:
        inputs[pair.input] = outputs[pair.output] = ["batch", *pair.shape]
    return Signature(inputs, outputs, state, has_weights)


class Exported(NamedTuple):
    """What an export made, once it has passed its gates.

    Args:
        graph: The bytes of `model.onnx`.
        batching: How a service runs it.
        state: What it carries.
        weights: The name of its output of attention, if it has one.
        parity: How near it is to torch.
        files: Further graphs, by name.
    """

    graph: bytes
    batching: Literal["cells", "sequences", "decoding"]
    state: list[StatePair]
    weights: str | None
    parity: list[ParityCell]
    files: dict[str, bytes]


def export_graph(
    run_folder: Path, write: Callable[[Path, Path], None] | None = None
) -> onnx.ModelProto:
    """Export a finished run in a new process: names in a graph tell of what was exported before.

    Args:
        run_folder: The run's.
        write: Given the folder, exports the run to a file; None: as a sequence model.
    Raises:
        FileNotFoundError: The folder holds no finished run.
    """
    fresh = multiprocessing.get_context("forkserver")  # imports torch once for all exports
    fresh.set_forkserver_preload(["onnxscript", "torch.onnx", __name__])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        with ProcessPoolExecutor(1, mp_context=fresh, initializer=_die_by_ctrl_c) as pool:
            try:
                pool.submit(write or _write_graph, run_folder, path).result()
            except KeyboardInterrupt:
                for process in multiprocessing.active_children():
                    process.kill()  # the pool would wait for its end
                raise
        return onnx.load(path)


def _die_by_ctrl_c() -> None:
    """At once, without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class _Flat(nn.Module):
    """The model with its state as positional tensors, which is what a graph has."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = fuse(model)
        self.names = list(model.state_shapes())

    def forward(self, inputs: Tensor, lengths: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Logits, weights if there are any, then the state in the order of its names."""
        given = dict(zip(self.names, state, strict=True))
        prediction = self.model(inputs, lengths, given)
        carried = [prediction.state[name] for name in self.names]
        weights = [] if prediction.weights is None else [prediction.weights]
        return (prediction.logits, *weights, *carried)


def _write_graph(run_folder: Path, path: Path) -> None:
    """Export a run to one file; runs once in its process."""
    torch.set_num_threads(1)
    card, model = load_run(run_folder)
    signature = signature_of(card, model)
    lengths = torch.arange(SAMPLE_TIME, SAMPLE_TIME - SAMPLE_BATCH, -1)
    state = model.initial_state(SAMPLE_BATCH).values()
    inputs = model.front.sample(SAMPLE_BATCH, SAMPLE_TIME)
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time")
    state_axes = tuple({0: batch} for _ in signature.state)
    axes = ({0: batch, 1: time}, {0: batch}, *([state_axes] if state_axes else []))
    with quiet_exporter():
        program = torch.onnx.export(
            _Flat(model).eval(),
            (inputs, lengths, *state),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=axes,
            input_names=list(signature.inputs),
            output_names=list(signature.outputs),
            verbose=False,
        )
    assert program is not None  # with dynamo=True it always gives one
    onnx.save(strip(program.model_proto), path)


def strip(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Take out, in place, paths of the machine that exported it, and halve what can be."""
    del graph.graph.value_info[:]  # inner shapes; a runtime infers its own
    parts = [graph.graph.node, graph.graph.input, graph.graph.output, graph.graph.initializer]
    for part in (graph, graph.graph, *(item for items in parts for item in items)):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return halve(graph)


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep back what the exporter says on every run and means nothing for these models."""
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registry.level
    registry.setLevel(logging.ERROR)  # "torchvision is not installed"
    try:
        with warnings.catch_warnings():
            # from torch's own pytree while it copies its own specs
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            # one `batch` for all inputs is exactly what is meant
            warnings.filterwarnings("ignore", r"# The axis name: \w+ will not be used", UserWarning)
            yield
    finally:
        registry.setLevel(level)
