"""`python -m service.graphs.checks.empty`: tries which axes of graphs may be of length 0.

An operator that is never asked for nothing may divide by a size, and that ends the process: so it
is one of its own. Lines in: the file of a graph each, as JSON. Lines out: a set of axes each, when
it was seen, and an empty line after the last of a graph. It imports no more than it must, as a load
waits for it.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np

from service.graphs.checks.onnx_file import read_onnx_file
from service.graphs.checks.rows import Rows, find_rows, is_taken
from service.graphs.session import open_session
from service.graphs.spec import Axes, Axis
from service.graphs.tensors import TensorModel

TRIALS_S = 5.0  # of CPU time, for all trials of a graph
LONGEST_S = 60  # of a graph, its opening included
OTHER_SIZES = (1, 16)
"""Of the axes that are not empty, beside the one that the graph was seen to take first."""


def find_taken(graph: Path) -> Iterator[Axes]:
    """Axes that a graph takes with length 0, all of a set at once: as soon as each was seen.

    Args:
        graph: Its file.
    """
    file = read_onnx_file(graph)
    model = TensorModel(open_session(graph), unranked=file.unranked if file else ())
    signal.setitimer(signal.ITIMER_PROF, TRIALS_S)
    taken = []
    for axes in candidates(model):
        if _is_taken(model, axes):
            taken.append(axes)
            yield axes
    together = frozenset[Axis]().union(*taken)
    if taken and together not in taken and _is_taken(model, together):
        yield together


def candidates(model: TensorModel) -> list[Axes]:
    """Axes of any size that may be empty at once: those of one name; and of those without a name
    each alone, and what lies alike in inputs that are alike.

    The first axis, the batch's, is none of them, nor what has its name.
    """
    needed = {it.name: it for it in model.signature.inputs if not it.is_optional}
    names = {
        (node.name, axis): name
        for node in model.session.get_inputs()
        for axis, name in enumerate(node.shape)  # none, where its number is not known
        if not isinstance(name, int)
    }
    first = {name for (_, axis), name in names.items() if axis == 0}
    of_batch = first if len(first) == 1 else set()  # of several names, they are no batch's
    sets: defaultdict[object, set[Axis]] = defaultdict(set)
    for (tensor, axis), name in names.items():
        if name is not None and name not in of_batch:
            sets[name].add((tensor, axis))
        elif name is None and axis > 0:
            sets[tensor, axis].add((tensor, axis))
            sets[needed[tensor]._replace(name=""), axis].add((tensor, axis))
    return list(dict.fromkeys(map(frozenset, sets.values())))


def _is_taken(model: TensorModel, axes: Axes) -> bool:
    """Whether a graph runs with these axes empty; if so, it is also tried with other sizes."""
    rows = find_rows(model, axes)
    if not isinstance(rows, Rows):
        return False
    random = np.random.default_rng(0)
    row = rows.make(rows.kind, random)
    two = {name: np.repeat(it, 2, axis=0) if it.ndim else it for name, it in row.items()}
    # an error says nothing, as sizes may belong together; what ends the process is to end it here
    is_taken(model, two)
    for size in OTHER_SIZES:
        is_taken(model, dataclasses.replace(rows, axis_size=size).make(rows.kind, random))
    return True


def main(graphs: TextIO, seen: TextIO) -> None:
    """Try graphs until there are no more; the first that ends this process is the last."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # if memory runs short, this process goes, not the server
        Path("/proc/self/oom_score_adj").write_text("1000")
    for line in graphs:
        signal.alarm(LONGEST_S)
        for axes in find_taken(Path(json.loads(line))):
            seen.write(json.dumps(sorted(axes)) + "\n")
            seen.flush()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        seen.write("\n")
        seen.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
