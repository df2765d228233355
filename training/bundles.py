"""A finished run to a bundle, with what can be measured only on the finished graph."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from service.manifest import GRAPH_FILE, Manifest, read_manifest
from training.export import export_run
from training.run import METRICS_FILE, write_metrics

LATENCY_CALLS = 300


def export_bundle(run_folder: Path, repository: Path, version: str) -> Path:
    """Export a run in place of the bundle's version, and measure the graph; gives its folder.

    Raises:
        ExportError: A gate fails; nothing is written.
    """
    metrics = json.loads((run_folder / METRICS_FILE).read_text())
    folder = export_run(run_folder, repository, version, replace=True)
    manifest = read_manifest(folder)
    metrics["graph"] = {"bytes": manifest.graph_bytes, "latency_ms": latency_ms(folder, manifest)}
    write_metrics(folder, metrics)
    return folder


def export_in_fresh_process(run_folder: Path, repository: Path, version: str) -> None:
    """`export_bundle` in a process that has exported nothing before.

    Raises:
        SystemExit: It failed; it has said why.
    """
    command = [sys.executable, "-m", "training", "export", str(run_folder)]
    command += ["--repository", str(repository), "--version", version]
    if status := subprocess.run(command, check=False).returncode:
        sys.exit(status)


def latency_ms(folder: Path, manifest: Manifest) -> float:
    """Median time of one call with one sequence of the training set's median length, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(folder / GRAPH_FILE), options, providers=["CPUExecutionProvider"]
    )
    length = round(manifest.profile.length_quantiles["0.5"])
    frames = np.tile(np.array(manifest.profile.feature_means, dtype=np.float32), (1, length, 1))
    feeds: dict[str, Any] = {
        manifest.inputs.name: frames,
        manifest.inputs.lengths: np.array([length], dtype=np.int64),
    }
    for pair in manifest.state:
        feeds[pair.input] = np.full((1, *pair.shape), pair.initial, dtype=np.float32)
    times_s = []
    for _ in range(LATENCY_CALLS):
        start_s = time.perf_counter()
        session.run(None, feeds)
        times_s.append(time.perf_counter() - start_s)
    return round(1_000 * float(np.median(times_s)), 3)
