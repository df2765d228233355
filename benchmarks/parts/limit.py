"""The limit: onnxruntime in a process of its own, two threads with a session each, no server.

Several ways to batch are tried, each in length order, so that padding is as small as it gets; the
best one counts. `python -m benchmarks.parts.limit` prints sequences a second of each way as JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.results import Part
from benchmarks.session import Session
from benchmarks.workload import pool
from service.manifest import Precision, read_graph, read_manifest

BATCH_SIZES = (1, 2, 4, 6, 8, 12, 16)
CASES = (
    ("lstm", "f64", "fp32"),
    ("lstm", "var", "fp32"),
    ("lstm", "var", "int8"),
    ("bigru", "var", "fp32"),
    ("transformer", "var", "fp32"),
)
"""Model, pool and precision."""
CONTESTANT = "in-process limit"

Feed = dict[str, NDArray[Any]]


def make_feeds(folder: Path, sequences: list[NDArray[np.float32]], size: int) -> list[Feed]:
    """The sequences by length, cut into batches of `size`, as a graph takes them."""
    manifest = read_manifest(folder)
    ordered = sorted(sequences, key=len)
    feeds = []
    for start in range(0, len(ordered) - len(ordered) % size, size):
        rows = ordered[start : start + size]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        inputs = np.zeros((size, lengths.max(), rows[0].shape[1]), dtype=np.float32)
        for into, row in zip(inputs, rows, strict=True):
            into[: len(row)] = row
        feed: Feed = {manifest.inputs.name: inputs, manifest.inputs.lengths: lengths}
        for pair in manifest.state:
            feed[pair.input] = np.full((size, *pair.shape), pair.initial, dtype=np.float32)
        feeds.append(feed)
    return feeds


def case_name(model: str, asked: str, precision: str) -> str:
    """As the report shows it."""
    return f"{model} {asked}" if precision == "fp32" else f"{model} {asked} {precision}"


def make_session(folder: Path, precision: Precision) -> onnxruntime.InferenceSession:
    """A session of one thread, as each engine thread has it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graph = read_graph(folder, read_manifest(folder), precision)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def rate(sessions: list[onnxruntime.InferenceSession], feeds: list[Feed], seconds: float) -> float:
    """Sequences a second of all sessions together, each in a thread of its own."""
    counts = [0] * len(sessions)
    start = threading.Barrier(len(sessions) + 1)
    stop = threading.Event()

    def work(index: int) -> None:
        name = next(iter(feeds[0]))
        order = np.random.default_rng(index).permutation(len(feeds))
        start.wait()
        while True:
            for at in order:
                sessions[index].run(["logits"], feeds[at])
                if stop.is_set():
                    return
                counts[index] += len(feeds[at][name])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(sessions))]
    for thread in threads:
        thread.start()
    start.wait()
    started_s = time.perf_counter()
    time.sleep(seconds)
    total, elapsed_s = sum(counts), time.perf_counter() - started_s
    stop.set()
    for thread in threads:
        thread.join()
    return total / elapsed_s


def single_ms(session: onnxruntime.InferenceSession, feeds: list[Feed], seconds: float) -> float:
    """Median time of one sequence, nothing else running."""
    elapsed: list[float] = []
    until_s = time.perf_counter() + seconds
    while time.perf_counter() < until_s:
        started_s = time.perf_counter()
        session.run(["logits"], feeds[len(elapsed) % len(feeds)])
        elapsed.append(time.perf_counter() - started_s)
    return 1_000 * float(np.median(elapsed))


def measure_round(session: Session) -> None:
    """Each case once, in a fresh process, while every server rests."""
    part = session.part("limit")
    session.fleet.rest()
    for model, asked, precision in CASES:
        manifest = read_manifest(session.repository / model / "1")
        if precision in manifest.precisions:
            measure_case(session, part, model, asked, precision)


def measure_case(session: Session, part: Part, model: str, asked: str, precision: str) -> None:
    """One round of one case."""
    words = ["--folder", str(session.repository / model / "1"), "--pool", asked]
    words += ["--precision", precision]
    seconds = str(min(0.5, session.seconds / 3))
    command = [sys.executable, "-m", "benchmarks.parts.limit", *words, "--seconds", seconds]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    record = {
        "contestant": CONTESTANT,
        "case": case_name(model, asked, precision),
        **session.stamp(),
    }
    record |= json.loads(done.stdout)
    part.add(record)
    best, throughput = record["best_batch"], record["throughput"]
    print(
        f"  {record['case']:24} {CONTESTANT:22} {throughput:9.1f}/s  batches of {best}", flush=True
    )


def main() -> None:
    """Measure one case in this process and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="of a bundle's version")
    parser.add_argument("--pool", default="var", help="var or f64")
    parser.add_argument("--precision", default="fp32", choices=get_args(Precision))
    parser.add_argument("--seconds", type=float, default=1.0, help="of each way to batch")
    arguments = parser.parse_args()
    sequences = [request[0] for request in pool(arguments.pool).requests]
    sessions = [make_session(arguments.folder, arguments.precision) for _ in range(2)]
    feeds = {size: make_feeds(arguments.folder, sequences, size) for size in BATCH_SIZES}
    rate(sessions, feeds[1], arguments.seconds / 2)  # warm-up
    rates = {size: round(rate(sessions, feeds[size], arguments.seconds), 1) for size in feeds}
    best = max(rates, key=rates.__getitem__)
    single = round(single_ms(sessions[0], feeds[1], arguments.seconds), 4)
    result = {"throughput": rates[best], "best_batch": best, "rates": rates, "single_ms": single}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
