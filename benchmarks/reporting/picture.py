"""Throughput and p99 against load, all contestants: `docs/images/throughput.svg`."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.parts.closed import CASES
from benchmarks.parts.limit import CONTESTANT as LIMIT
from benchmarks.reporting.targets import Parts
from benchmarks.results import Part

OURS = {"seqserve": "#0b5fa5", "seqserve-binary": "#0b5fa5", "seqserve-int8-binary": "#d1495b"}
OTHERS = ["#8c8c8c", "#2a9d8f", "#e9a23b", "#7b6fb0", "#a0785a", "#c77dab", "#6a994e", "#4f9bc4",
          "#b5b35c", "#5c5c5c", "#d98b5f", "#93b7be"]  # fmt: skip


def draw(parts: Parts, path: Path) -> None:
    """Draw the closed loop on mixed lengths: a column a wire, throughput above, p99 below."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update(
        {"svg.hashsalt": "seqserve", "svg.fonttype": "none", "font.size": 9, "axes.grid": True,
         "grid.color": "#e6e6e6", "axes.spines.top": False, "axes.spines.right": False}
    )  # fmt: skip
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), sharex=True, sharey="row")
    for column, wire in enumerate(("json", "binary")):
        upper, lower = axes[0][column], axes[1][column]
        _draw_wire(parts["closed"], wire, upper, lower)
        limit = parts["limit"].median(LIMIT, "lstm var", "throughput")
        if limit:
            upper.axhline(limit, color="black", linestyle=":", linewidth=1, label=f"{LIMIT}, fp32")
        upper.set_title("JSON" if wire == "json" else "binary")
        lower.set_xlabel("connections, closed loop")
    axes[0][0].set_ylabel("requests/s")
    axes[1][0].set_ylabel("p99, ms")
    axes[0][0].set_ylim(bottom=0)
    figure.suptitle("LSTM, log-normal lengths 8..256 (median 40), two cores with the generator")
    handles = {line.get_label(): line for axis in axes[0] for line in axis.lines}
    figure.legend(handles=handles.values(), loc="lower center", ncols=6, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _draw_wire(part: Part, wire: str, upper: Any, lower: Any) -> None:
    cases = [c for c in CASES if c.model == "lstm" and c.pool == "var"]
    names = [name for name, about in part.contestants.items() if about["wire"] == wire]
    colours = _colours(part)
    for name in names:
        measured = [c for c in cases if part.median(name, c.name, "throughput")]
        if not measured:
            continue
        ours = name in OURS
        style = {
            "color": colours[name],
            "linewidth": 2.4 if ours else 1.2,
            "marker": "o",
            "markersize": 4 if ours else 3,
            "zorder": 3 if ours else 2,
        }
        loads = [c.connections for c in measured]
        rates = [part.median(name, c.name, "throughput") for c in measured]
        tails = [part.median(name, c.name, "p99") for c in measured]
        upper.plot(loads, rates, label=name, **style)
        lower.plot(loads, tails, **style)
    upper.set_xscale("log", base=2)
    upper.set_xticks([c.connections for c in cases], [str(c.connections) for c in cases])
    lower.set_yscale("log")


def _colours(part: Part) -> dict[str, str]:
    """Of every contestant; those of one product are alike in both columns."""
    products = [name.split("-")[0] for name in part.contestants if name not in OURS]
    of_product = dict(zip(dict.fromkeys(products), cycle(OTHERS), strict=False))
    return {name: OURS.get(name) or of_product[name.split("-")[0]] for name in part.contestants}
