"""Concurrent mixed-length load on every bundled model, each answer compared with onnxruntime alone.

`python -m benchmarks.verify_load --seconds 60` exits 1 on a single wrong answer or error.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from benchmarks.servers.serving import (
    Reference,
    bundles,
    make_sequences,
    mixed_lengths,
    running_server,
    write_result,
)

TOLERANCE = 1e-5  # of a probability; float32 in another batch differs by about 1e-7
RESULT = Path(__file__).parent / "results" / "verify_load.json"


class Pool:
    """Sequences of one model and the right answers to them."""

    def __init__(self, folder: Path, count: int, random: np.random.Generator) -> None:
        reference = Reference(folder)
        self.manifest = reference.manifest
        lengths = np.minimum(mixed_lengths(count, random), self.manifest.limits.max_length)
        self.sequences = make_sequences(self.manifest, lengths, random)
        self.expected = [reference.probabilities(sequence) for sequence in self.sequences]


class Load:
    """Clients that ask in a closed loop, and what they saw."""

    def __init__(self, pools: list[Pool], seconds: float) -> None:
        self.pools = pools
        self.stop_s = time.monotonic() + seconds
        self.counts: Counter[str] = Counter()
        self.worst_error = 0.0
        self.latencies_ms: list[float] = []

    async def client(self, http: httpx.AsyncClient, seed: int) -> None:
        """Ask until the time is over: any model, 1 to 4 sequences, either protocol."""
        random = np.random.default_rng(seed)
        while time.monotonic() < self.stop_s:
            pool = self.pools[random.integers(len(self.pools))]
            rows = random.integers(len(pool.sequences), size=random.integers(1, 5)).tolist()
            ask = self._ask_v1 if random.random() < 0.5 else self._ask_v2
            started_s = time.perf_counter()
            try:
                answers = await ask(http, pool, rows)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                self.counts["errors"] += 1
                sys.stderr.write(f"{pool.manifest.name}: {error!r}\n")
                continue
            self.latencies_ms.append(1_000 * (time.perf_counter() - started_s))
            self._check(pool, rows, answers)

    def _check(self, pool: Pool, rows: list[int], answers: list[NDArray[np.float64]]) -> None:
        self.counts["requests"] += 1
        self.counts["sequences"] += len(rows)
        for row, answer in zip(rows, answers, strict=True):
            error = float(np.abs(answer - pool.expected[row]).max())
            self.worst_error = max(self.worst_error, error)
            if not error <= TOLERANCE:
                self.counts["wrong"] += 1

    async def _ask_v1(
        self, http: httpx.AsyncClient, pool: Pool, rows: list[int]
    ) -> list[NDArray[np.float64]]:
        labels = pool.manifest.outputs.labels
        body = {"sequences": [pool.sequences[row].tolist() for row in rows], "top_k": len(labels)}
        reply = await http.post(f"/v1/models/{pool.manifest.name}/predict", json=body)
        _check_status(reply)
        tops = [
            {ranked["label"]: ranked["probability"] for ranked in prediction["top"]}
            for prediction in reply.json()["predictions"]
        ]
        return [np.array([top[label] for label in labels]) for top in tops]

    async def _ask_v2(
        self, http: httpx.AsyncClient, pool: Pool, rows: list[int]
    ) -> list[NDArray[np.float64]]:
        sequences = [pool.sequences[row] for row in rows]
        longest = max(map(len, sequences))
        padded = [
            np.pad(s, ((0, longest - len(s)), (0, 0)), constant_values=1e30) for s in sequences
        ]
        body: dict[str, Any] = {
            "inputs": [
                {
                    "name": "inputs",
                    "datatype": "FP32",
                    "shape": [len(rows), longest, sequences[0].shape[1]],
                    "data": np.stack(padded).ravel().tolist(),
                },
                {
                    "name": "lengths",
                    "datatype": "INT64",
                    "shape": [len(rows)],
                    "data": [len(s) for s in sequences],
                },
            ],
            "outputs": [{"name": "logits"}],
        }
        reply = await http.post(f"/v2/models/{pool.manifest.name}/infer", json=body)
        _check_status(reply)
        (output,) = reply.json()["outputs"]
        logits = np.array(output["data"]).reshape(output["shape"])
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return list(exponentials / exponentials.sum(axis=1, keepdims=True))


def _check_status(reply: httpx.Response) -> None:
    if reply.status_code != 200:
        raise ValueError(f"status {reply.status_code}: {reply.text}")


def cells(metrics: str) -> dict[str, dict[str, float]]:
    """Cells computed so far by model and kind, from the server's own metrics."""
    found: dict[str, dict[str, float]] = {}
    for line in metrics.splitlines():
        if line.startswith("seqserve_cells_total{"):
            labels = dict(
                pair.split("=") for pair in line[line.index("{") + 1 : line.index("}")].split(",")
            )
            kinds = found.setdefault(labels["model"].strip('"'), {"real": 0.0, "padded": 0.0})
            kinds[labels["kind"].strip('"')] += float(line.split()[-1])
    return found


def padding_efficiency(metrics: str) -> dict[str, float]:
    """Real cells by all cells computed, by model."""
    return {
        model: round(kinds["real"] / (kinds["real"] + kinds["padded"]), 4)
        for model, kinds in cells(metrics).items()
        if kinds["real"]
    }


async def run(address: str, pools: list[Pool], seconds: float, clients: int) -> dict[str, object]:
    """Load the server and say what came back."""
    load = Load(pools, seconds)
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as http:
        await asyncio.gather(*(load.client(http, seed) for seed in range(clients)))
        efficiency = padding_efficiency((await http.get("/metrics")).text)
    p50, p99 = np.percentile(load.latencies_ms, [50, 99]) if load.latencies_ms else (0.0, 0.0)
    return {
        "seconds": seconds,
        "clients": clients,
        "requests": load.counts["requests"],
        "sequences": load.counts["sequences"],
        "errors": load.counts["errors"],
        "wrong_answers": load.counts["wrong"],
        "worst_probability_error": load.worst_error,
        "latency_ms": {"p50": round(float(p50), 2), "p99": round(float(p99), 2)},
        "padding_efficiency": efficiency,
    }


def main() -> int:
    """Run it; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path("repository"))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=24)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    pools = [Pool(folder, 200, random) for folder in bundles(arguments.repository)]
    with running_server(arguments.repository) as server:
        result = asyncio.run(run(server.url, pools, arguments.seconds, arguments.clients))
    write_result(RESULT, result)
    print(RESULT.read_text())
    return 1 if result["errors"] or result["wrong_answers"] or not result["requests"] else 0


if __name__ == "__main__":
    sys.exit(main())
