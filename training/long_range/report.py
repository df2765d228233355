"""Runs both problems for several families, and writes what came of it: figures and pictures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from training.export.variant import cpu_name
from training.long_range.fit import Learnt, learn, new_model
from training.long_range.gradients import gradient_norms
from training.long_range.problems import PROBLEMS, Adding

FAMILIES = {"adding": ("rnn", "lstm", "gru", "attention"), "copy": ("rnn", "lstm", "gru", "hybrid")}
"""Attention over all steps gives one answer; at every step the hybrid has it."""

RESULTS_FILE, GRADIENTS_FILE = "long_range.json", "gradient_flow.png"
HIDDEN_SIZE = 64


def run(problem: str, lengths: list[int], budget_s: float, folder: Path) -> list[Learnt]:
    """Learn a problem at these lengths by every family that can; add it to the folder's figures.

    Args:
        problem: `adding` or `copy`.
        lengths: T, of each.
        budget_s: CPU seconds for each family and length.
        folder: For what is written.
    """
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for length in lengths:
        for family in FAMILIES[problem]:
            asked = PROBLEMS[problem](length)
            model, learnt = learn(family, asked, budget_s, HIDDEN_SIZE)
            print(
                f"{learnt.problem} T={length} {family}: loss {learnt.loss:.3g} after "
                f"{learnt.steps} steps, {learnt.cpu_s:.0f} s of CPU"
                f"{'' if learnt.is_solved else ': not solved'}",
                flush=True,
            )
            found.append(learnt)
            about: dict[str, Any] = {"budget_s": budget_s}
            if isinstance(asked, Adding):
                new = new_model(family, asked, HIDDEN_SIZE, seed=0)
                about["gradient_norms"] = {
                    when: [float(f"{norm:.3g}") for norm in gradient_norms(which, asked)]
                    for when, which in (("new", new), ("learnt", model))
                }
            _add(folder / RESULTS_FILE, dataclasses.asdict(learnt) | about)
    return found


def _add(path: Path, new: dict[str, Any]) -> None:
    """Put one result among those that the file holds, in the place of one of the same question."""
    held = json.loads(path.read_text())["results"] if path.exists() else []
    question = ("family", "problem", "num_steps")
    kept = [it for it in held if any(it[key] != new[key] for key in question)]
    path.write_text(json.dumps({"cpu": cpu_name(), "results": [*kept, new]}, indent=1) + "\n")


def draw_gradients(results: Path, length: int, path: Path) -> None:
    """Gradient norms against time lag on the adding problem, before and after learning, as a PNG.

    Args:
        results: What `run` wrote.
        length: T.
        path: For the picture.
    """
    held = json.loads(results.read_text())["results"]
    shown = [it for it in held if it["num_steps"] == length and "gradient_norms" in it]
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, when in zip(figure.subplots(1, 2, sharey=True), ("new", "learnt"), strict=True):
        for it in shown:
            loss = f" (loss {it['loss']:.2g})" if when == "learnt" else ""
            axes.semilogy(it["gradient_norms"][when], label=it["family"] + loss)
        axes.set(xlabel="lag, steps before the last", title=f"{when}, T = {length}")
        axes.legend()
    figure.supylabel("norm of the answer's gradient by the input")
    figure.savefig(path, dpi=120)


def table_of(results: Path) -> str:
    """What `run` wrote, as Markdown: a row a problem and length, a column a family."""
    held = json.loads(results.read_text())["results"]
    questions = sorted({(it["problem"], it["num_steps"]) for it in held})
    families = list(dict.fromkeys(it["family"] for it in held))
    lines = [
        f"| problem | chance | {' | '.join(families)} |",
        "|---|---|" + "---|" * len(families),
    ]
    by_name = {problem.name: problem for problem in PROBLEMS.values()}
    for name, length in questions:
        places = []
        for family in families:
            found = [
                it
                for it in held
                if (it["problem"], it["num_steps"], it["family"]) == (name, length, family)
            ]
            places.append("".join(map(_shown, found)))
        chance = by_name[name](length).chance
        lines.append(f"| {name}, T = {length} | {chance:.3g} | {' | '.join(places)} |")
    return "\n".join(lines) + "\n"


def _shown(result: dict[str, Any]) -> str:
    loss = f"{result['loss']:.2g}"
    loss = f"**{loss}**" if result["is_solved"] else loss
    return f"{loss} ({result['steps']:,} steps, {result['cpu_s']:.0f} s)"
