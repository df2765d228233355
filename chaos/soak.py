"""`python -m chaos.soak --seconds 300`: all tasks at once for a while, and what is left of it.

Requests of all tasks, streams, callers who leave, models that are loaded again, unloaded and
loaded. 1 if an answer is wrong, or memory, open files or threads go on growing.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np

from benchmarks.servers.serving import machine
from tests.bundles.requests import make_request
from tests.servers import REPOSITORY, Server, serving

RESULTS = Path(__file__).parent / "soak.json"
CLIENTS = 6
EVERY_S = 1.0
WARM = 0.4  # of the time: pools and caches fill
BLOCKS = 12
T_95 = 2.228  # Student's t, two-sided, of BLOCKS - 2 degrees of freedom
MOST_MIB_AN_HOUR = 60.0
CYCLED, RELOADED = "names-birnn", "digits-lstm"
LEAVES, STREAMS, EXAMPLES = 0.1, 0.5, 0.3  # shares of the requests


class Sample(NamedTuple):
    """A process at one moment."""

    at_s: float
    resident_mib: float
    open_files: int
    threads: int


def sample(pid: int, began_s: float) -> Sample:
    """As it is now."""
    folder = Path("/proc", str(pid))
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    open_files = len(list((folder / "fd").iterdir()))
    resident_mib = int(status["VmRSS"].split()[0]) / 1_024
    return Sample(time.monotonic() - began_s, resident_mib, open_files, int(status["Threads"]))


class Load:
    """Clients of all models.

    Args:
        server: That they ask.
        seconds: How long.
    """

    def __init__(self, server: Server, seconds: float) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._url = server.base_url
        self._stop_s = time.monotonic() + seconds
        models = server.client.get("/v1/models").json()["models"]
        paths = server.client.get("/openapi.json").json()["paths"]
        self._models = [it for it in models if it["name"] != CYCLED]
        self._examples = {
            it["name"]: paths[f"/v1/models/{it['name']}/predict"]["post"]["requestBody"]["content"][
                "application/json"
            ]["examples"]["example"]["value"]
            for it in models
        }
        self._answers = {
            name: server.client.post(f"/v1/models/{name}/predict", json=example).json()
            for name, example in self._examples.items()
        }

    def run(self) -> None:
        """Ask until the time is over."""
        threads = [threading.Thread(target=self._ask, args=(seed,)) for seed in range(CLIENTS)]
        threads.append(threading.Thread(target=self._cycle))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        with httpx.Client(base_url=self._url, timeout=60.0) as http:
            while time.monotonic() < self._stop_s:
                model = self._models[random.integers(len(self._models))]
                name, example = model["name"], self._examples[model["name"]]
                path = f"/v1/models/{name}/predict"
                if random.random() < EXAMPLES:
                    self._check(name, http.post(path, json=example), self._answers[name])
                    continue
                body = make_request(model, example, random)
                if "prompts" in body and random.random() < STREAMS:
                    self._stream(http, name, body, random)
                elif random.random() < LEAVES:
                    with suppress(httpx.TimeoutException):
                        http.post(path, json=body, timeout=float(random.uniform(0.001, 0.02)))
                    self.counts["left"] += 1
                else:
                    self._check(name, http.post(path, json=body))

    def _stream(
        self, http: httpx.Client, name: str, body: dict[str, Any], random: np.random.Generator
    ) -> None:
        """Read a text as it comes; some readers leave in the middle."""
        leaves_after = random.integers(1, 120)
        path = f"/v1/models/{name}/generate"
        with http.stream("POST", path, json={**body, "stream": True}) as response:
            if response.status_code != 200:
                response.read()
                self._check(name, response)
                return
            for number, line in enumerate(response.iter_lines()):
                if "error" in line:
                    self.failures.append(f"{name}: {line}")
                if number == leaves_after:
                    self.counts["streams left"] += 1
                    return
        self.counts["streams"] += 1

    def _cycle(self) -> None:
        """Load a model that is being asked again; unload another, and load it."""
        with httpx.Client(base_url=self._url, timeout=60.0) as http:
            while time.monotonic() < self._stop_s:
                for name, change in ((RELOADED, "load"), (CYCLED, "unload"), (CYCLED, "load")):
                    response = http.post(f"/v2/repository/models/{name}/{change}")
                    if response.status_code != 200:
                        self.failures.append(f"{change} {name}: {response.text}")
                    self.counts[f"{change}s"] += 1
                    time.sleep(1.0)

    def _check(self, name: str, response: httpx.Response, wanted: object = None) -> None:
        self.counts["answers"] += 1
        if response.status_code != 200:
            self.failures.append(f"{name}: {response.status_code} {response.text[:200]}")
        elif wanted is not None and not alike(response.json(), wanted):
            self.failures.append(f"{name}: another answer than at first: {response.text[:200]}")


def alike(one: Any, other: Any) -> bool:
    """Whether two documents say the same, but for the last digits of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-3 * max(1.0, abs(other))
    return bool(one == other)


def slope_an_hour(samples: list[Sample]) -> tuple[float, float]:
    """How resident memory grows, in MiB an hour, and half of the 95 % interval around that.

    Neighbouring samples are alike, so it goes by the means of blocks.
    """
    blocks = np.array_split(np.array([(it.at_s, it.resident_mib) for it in samples]), BLOCKS)
    hours, memory = np.array([block.mean(axis=0) for block in blocks]).T * [[1 / 3_600], [1.0]]
    centred = hours - hours.mean()
    slope = float(centred @ memory / (centred @ centred))
    left = memory - memory.mean() - slope * centred
    error = np.sqrt(left @ left / (BLOCKS - 2) / (centred @ centred))
    return slope, T_95 * float(error)


def judge(samples: list[Sample], seconds: float, failures: list[str]) -> dict[str, Any]:
    """What there is to report, `failed` included."""
    warm = [it for it in samples if it.at_s > WARM * seconds]
    slope, half = slope_an_hour(warm)
    half_time = warm[: len(warm) // 2], warm[len(warm) // 2 :]
    failed = failures[:5]
    if slope - half > MOST_MIB_AN_HOUR:
        failed.append(f"memory grows by {slope:.0f} ± {half:.0f} MiB an hour")
    for what in ("open_files", "threads"):
        before, after = (max(getattr(it, what) for it in part) for part in half_time)
        if after > before + CLIENTS:
            failed.append(f"{what} grow from {before} to {after}")
    return {
        "resident_mib": {"first": warm[0].resident_mib, "last": warm[-1].resident_mib},
        "slope_mib_an_hour": round(slope, 1),
        "half_of_95_percent_interval": round(half, 1),
        "open_files": sorted({it.open_files for it in warm}),
        "threads": sorted({it.threads for it in warm}),
        "failed": failed,
    }


def main() -> int:
    """Run it; 1 if something grows or went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    seconds = parser.parse_args().seconds
    samples: list[Sample] = []
    with serving(REPOSITORY, forked=False) as server:
        load, began_s = Load(server, seconds), time.monotonic()
        running = threading.Thread(target=load.run)
        running.start()
        while running.is_alive():
            samples.append(sample(server.process.pid, began_s))
            time.sleep(EVERY_S)
        time.sleep(2.0)
        at_rest = sample(server.process.pid, began_s)
    result = {"machine": machine(), "seconds": seconds, "counts": dict(load.counts)}
    result |= judge(samples, seconds, load.failures)
    result["at_rest"] = at_rest._asdict()
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(RESULTS.read_text())
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
