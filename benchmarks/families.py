"""Latency of one request to each bundled model, side by side in interleaved rounds.

One connection, JSON frames of the model's median length and of its 95 % quantile; a request is
timed by the client, from sending its bytes to reading the answer's last.
"""

from __future__ import annotations

import argparse
import http.client
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.servers.serving import (
    bundles,
    machine,
    make_sequences,
    running_server,
    write_result,
)
from service.manifest import GRAPH_FILE, Manifest, read_manifest

RESULT = Path(__file__).parent / "results" / "families.json"
QUANTILES = ("0.5", "0.95")


def request_body(manifest: Manifest, num_steps: int) -> bytes:
    """A request of one sequence."""
    (sequence,) = make_sequences(manifest, np.array([num_steps]), np.random.default_rng(0))
    return json.dumps({"sequences": [sequence.round(2).tolist()]}).encode()


def time_requests(
    connection: http.client.HTTPConnection, name: str, body: bytes, count: int
) -> list[float]:
    """Milliseconds of `count` requests, one after the other."""
    elapsed_ms: list[float] = []
    headers = {"Content-Type": "application/json"}
    for _ in range(count):
        started_s = time.perf_counter()
        connection.request("POST", f"/v1/models/{name}/predict", body, headers)
        answer = connection.getresponse()
        answer.read()
        elapsed_ms.append(1_000 * (time.perf_counter() - started_s))
        if answer.status != 200:
            raise RuntimeError(f"{name} answered {answer.status}")
    return elapsed_ms


def main() -> None:
    """Measure and write `results/families.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path("repository"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=50, help="a round, a model, a length")
    arguments = parser.parse_args()
    folders = bundles(arguments.repository)
    manifests = [read_manifest(folder) for folder in folders]
    cases = {
        (manifest.name, quantile): request_body(
            manifest, int(manifest.profile.length_quantiles[quantile])
        )
        for manifest in manifests
        for quantile in QUANTILES
    }
    medians: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    with running_server(arguments.repository) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
        for _ in range(arguments.rounds):
            for (name, quantile), body in cases.items():
                elapsed_ms = time_requests(connection, name, body, arguments.requests)
                medians[name, quantile].append(float(np.median(elapsed_ms)))
    models = {
        manifest.name: {
            "graph_kib": round((folder / GRAPH_FILE).stat().st_size / 1_024),
            **{
                f"latency_ms_at_length_quantile_{quantile}": {
                    "steps": int(manifest.profile.length_quantiles[quantile]),
                    "median": round(float(np.median(medians[manifest.name, quantile])), 2),
                    "lowest_round": round(min(medians[manifest.name, quantile]), 2),
                    "highest_round": round(max(medians[manifest.name, quantile]), 2),
                }
                for quantile in QUANTILES
            },
        }
        for folder, manifest in zip(folders, manifests, strict=True)
    }
    write_result(RESULT, {"machine": machine(), "models": models})
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
