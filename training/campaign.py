"""All digits bundles: every family, three seeds on the official split and one speaker left out.

Every run is a process of its own with one thread. A run that is finished is not run again, and a
run that was killed goes on, so this can be stopped and started at will.
"""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from models import FAMILIES
from training.card import CARD_FILE, Card
from training.data.fsdd import load_fsdd
from training.export.bundle import export_run
from training.export.variant import add_variant, describe, evidence_of
from training.options import DEFAULT_SPEAKER
from training.run import finished_metrics, write_metrics

SEEDS = (0, 1, 2)
BUNDLE_VERSION = "1"


def train_all(run_dir: Path, repository: Path, jobs: int) -> None:
    """Train what is not trained yet, then export each family's best seed by *validation* score,
    and its int8 variant where that passes its gates.

    Raises:
        SystemExit: A run failed; the end of its log is printed.
        ExportError: A gate failed.
    """
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runs = [
            pool.submit(_train, run_dir, family, seed, left_out)
            for family in FAMILIES
            for seed, left_out in [*((seed, False) for seed in SEEDS), (SEEDS[0], True)]
        ]
        for run in concurrent.futures.as_completed(runs):
            try:
                print(run.result())
            except subprocess.CalledProcessError as error:
                pool.shutdown(cancel_futures=True)
                sys.exit(f"failed: {' '.join(error.cmd)}\n{error.output}")
    evidence = evidence_of(load_fsdd())
    for family in FAMILIES:
        folder = export_run(choose_run(run_dir, family), repository, BUNDLE_VERSION, replace=True)
        print(f"{folder}: {describe(add_variant(folder, evidence))}")


def _train(run_dir: Path, family: str, seed: int, left_out: bool) -> str:
    """One run in a process; its last line, which has the scores."""
    command = [sys.executable, "-m", "training", "train", "--dataset", "fsdd"]
    command += ["--family", family, "--seed", str(seed), "--run-dir", str(run_dir)]
    command += ["--resume", "--no-export"]
    if left_out:
        command += ["--split", "speaker", "--speaker", DEFAULT_SPEAKER]
    # one thread from the start: BLAS makes its threads when it is loaded
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


def choose_run(run_dir: Path, family: str) -> Path:
    """The run to export; its metrics and card then tell of the other runs too."""
    folders = {seed: run_dir / f"digits-{family}" / f"seed-{seed}" for seed in SEEDS}
    runs = {seed: _metrics(folder) for seed, folder in folders.items()}
    left_out = _metrics(run_dir / f"digits-{family}-without-{DEFAULT_SPEAKER}" / f"seed-{SEEDS[0]}")
    best = max(SEEDS, key=lambda seed: _validation_score(runs[seed]))
    seeds = {str(seed): runs[seed]["test"]["accuracy"] for seed in SEEDS}
    metrics = runs[best] | {
        "seeds": seeds,
        "seeds_cpu_s": {str(seed): runs[seed]["cpu_s"] for seed in SEEDS},
        "left_out_speaker": {
            "speaker": DEFAULT_SPEAKER,
            "accuracy": left_out["test"]["accuracy"],
            "baseline_accuracy": left_out["baseline_accuracy"],
            "sequences": left_out["sequences"]["test"],
        },
    }
    write_metrics(folders[best], metrics)
    card_path = folders[best] / CARD_FILE
    card = Card.model_validate_json(card_path.read_text())
    quality = card.quality.model_copy(update={"seeds": seeds})
    card = card.model_copy(update={"quality": quality})
    card_path.write_text(card.model_dump_json(indent=2) + "\n")
    return folders[best]


def _metrics(folder: Path) -> dict[str, Any]:
    metrics = finished_metrics(folder)
    if metrics is None:
        raise FileNotFoundError(f"no finished run in {folder}")
    return metrics


def _validation_score(metrics: dict[str, Any]) -> tuple[float, float]:
    """Accuracy first, then the lower loss, as within a run."""
    return metrics["validation"]["accuracy"], -metrics["validation"]["loss"]
