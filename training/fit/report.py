"""What a run shows: a progress bar or lines, a CSV and a TensorBoard log, and two pictures."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from training.fit.checkpoints import Progress as RunProgress

LOG_FILE = "log.csv"
CURVE_FILE = "learning_curve.png"
CONFUSION_FILE = "confusion.png"
MAX_PICTURE_INCHES = 50.0
"""A picture of any number of labels fits into memory."""
LINE_EVERY_S = 10.0
"""Where there is no terminal, which a bar needs."""


class Reporter:
    """Watches one run; a context manager.

    Args:
        folder: Where the logs go.
        title: Before the bar.
        num_steps: Of the whole run.
        show: False for the processes that must not write.
    """

    def __init__(self, folder: Path, title: str, num_steps: int, *, show: bool = True) -> None:
        self.folder = folder
        self.show = show
        self.rows_written = 0
        console = Console()
        has_bar = show and console.is_terminal
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  validation {task.fields[score]:.4f}"),
            TimeRemainingColumn(),
            console=console,
            disable=not has_bar,
        )
        self.lines = Lines(title, num_steps) if show and not has_bar else None
        self.task = self.bar.add_task(title, total=num_steps, loss=float("nan"), score=float("nan"))
        self.writer: SummaryWriter | None = None

    def __enter__(self) -> Reporter:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()
        if self.writer:
            self.writer.close()

    def watch(self, progress: RunProgress, loss: float) -> None:
        """Move the bar; write what validations came since."""
        history = progress.history
        score = history[-1]["validation_score"] if history else float("nan")
        self.bar.update(self.task, completed=progress.step, loss=loss, score=score)
        if self.lines:
            self.lines.watch(progress.step, loss, score)
        if self.show and len(history) > self.rows_written:
            self._log(history)

    def _log(self, history: list[dict[str, float]]) -> None:
        # the CSV is written whole: a resumed run must not repeat what a killed one wrote
        with (self.folder / LOG_FILE).open("w", newline="") as file:
            table = csv.DictWriter(file, fieldnames=list(history[0]))
            table.writeheader()
            table.writerows(history)
        if self.writer is None:
            first = int(history[self.rows_written]["step"])
            self.writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=first)
        for row in history[self.rows_written :]:
            for name, value in row.items():
                if name != "step":
                    self.writer.add_scalar(name, value, int(row["step"]))
        self.rows_written = len(history)


class Lines:
    """A line now and then: where a run is, and how long it still takes.

    Args:
        title: Of each line.
        num_steps: Of the whole run.
    """

    def __init__(self, title: str, num_steps: int) -> None:
        self.title = title
        self.num_steps = num_steps
        self.began_s = self.written_s = time.monotonic()
        self.first_step: int | None = None
        print(f"{title}: training begins", flush=True)

    def watch(self, step: int, loss: float, score: float) -> None:
        """Write a line if the last one is long ago; the score is NaN before there is one."""
        now_s = time.monotonic()
        if self.first_step is None:  # a resumed run begins anywhere
            self.first_step = step - 1
        if now_s - self.written_s < LINE_EVERY_S:
            return
        self.written_s, taken_s = now_s, now_s - self.began_s
        left_s = taken_s / (step - self.first_step) * (self.num_steps - step)
        validation = "" if math.isnan(score) else f"validation {score:.4f}, "
        print(
            f"{self.title}: step {step} of {self.num_steps}, loss {loss:.3f}, {validation}"
            f"{taken_s:.0f} s, at most {left_s:.0f} s left",
            flush=True,
        )


def draw_learning_curve(folder: Path, history: list[dict[str, float]], best_step: int) -> None:
    """Losses and validation score over steps, as a PNG."""
    steps = [row["step"] for row in history]
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    losses, score = figure.subplots(1, 2)
    losses.plot(steps, [row["train_loss"] for row in history], label="training")
    losses.plot(steps, [row["validation_loss"] for row in history], label="validation")
    losses.set(xlabel="step", ylabel="loss")
    losses.legend()
    score.plot(steps, [row["validation_score"] for row in history])
    score.axvline(best_step, linestyle=":", label=f"kept: step {best_step}")
    score.set(xlabel="step", ylabel="validation score")
    score.legend()
    figure.savefig(folder / CURVE_FILE, dpi=120)


def draw_confusion(folder: Path, confusion: list[list[int]], labels: list[str]) -> None:
    """Counts of true against answered class, as a PNG."""
    size = min(2.5 + 0.4 * len(labels), MAX_PICTURE_INCHES)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(confusion, cmap="Blues")
    places = range(len(labels))
    rotation = 90 if max(map(len, labels)) > 2 else 0
    # `$` would begin a formula
    axes.set_xticks(places, labels, rotation=rotation, parse_math=False)
    axes.set_yticks(places, labels, parse_math=False)
    axes.set(xlabel="answered", ylabel="true")
    darkest = max(max(row) for row in confusion)
    for i, row in enumerate(confusion):
        for j, count in enumerate(row):
            if count:
                colour = "white" if count > darkest / 2 else "black"
                axes.text(j, i, str(count), ha="center", va="center", color=colour)
    figure.savefig(folder / CONFUSION_FILE, dpi=120)
