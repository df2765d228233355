"""From a process's start to ready with the bundled models, and its memory then and after use.

`python -m benchmarks.start` prints what `measure` gives.
"""

from __future__ import annotations

import argparse
import json
import statistics
import urllib.request
from pathlib import Path

import numpy as np

from benchmarks.servers.processes import cpu_s, family, resident_mib
from benchmarks.servers.serving import (
    Running,
    bundles,
    make_sequences,
    mixed_lengths,
    running_server,
)
from service.manifest import read_manifest

BUNDLED = Path(__file__).parent.parent / "repository"
STARTS = 5
COUNT = 64  # sequences of mixed lengths for each model, all in one request
TIMEOUT_S = 60.0


def measure(
    repository: Path = BUNDLED, starts: int = STARTS, **settings: object
) -> dict[str, object]:
    """Start a server several times, one after the other, and ask every model something.

    Args:
        settings: As in `service.settings`.

    Returns:
        Seconds to ready, the median and each; CPU seconds to ready, which other load hardly moves;
        MiB resident when ready and when every model has answered, medians.
    """
    ready_s, used_s, fresh_mib, warm_mib = [], [], [], []
    for _ in range(starts):
        with running_server(repository, **settings) as server:
            ready_s.append(round(server.ready_s, 3))
            used_s.append(cpu_s(family(server.pid)))
            fresh_mib.append(resident_mib(family(server.pid)))
            _ask_every_model(server, repository)
            warm_mib.append(resident_mib(family(server.pid)))
    return {
        "ready_s": statistics.median(ready_s),
        "ready_s_each": ready_s,
        "ready_cpu_s": round(statistics.median(used_s), 3),
        "fresh_mib": round(statistics.median(fresh_mib), 1),
        "warm_mib": round(statistics.median(warm_mib), 1),
        "models": len(bundles(repository)),
        **settings,
    }


def _ask_every_model(server: Running, repository: Path) -> None:
    random = np.random.default_rng(0)
    for folder in bundles(repository):
        manifest = read_manifest(folder)
        lengths = np.minimum(mixed_lengths(COUNT, random), manifest.limits.max_length)
        sequences = make_sequences(manifest, lengths, random)
        body = json.dumps({"sequences": [sequence.tolist() for sequence in sequences]}).encode()
        url = f"{server.url}/v1/models/{manifest.name}/predict"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            response.read()


def main() -> None:
    """Print the measurement as JSON."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("--starts", type=int, default=STARTS)
    parser.add_argument("--workers", type=int, default=1)
    wanted = parser.parse_args()
    print(json.dumps(measure(starts=wanted.starts, workers=wanted.workers), indent=2))


if __name__ == "__main__":
    main()
