"""A demo load: asks every model of a server, in every way, now and then wrongly, for a while.

    python deploy/demo_load.py http://127.0.0.1:8000 --seconds 60 --rate 20

Needs nothing but Python. What it asks is what the server's own OpenAPI document gives as examples,
and the recordings in examples/, where they are. Ends after `--seconds` with a line that counts the
answers by status; with 1 if none was 200, or one was an error of the server's own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

RECORDINGS = sorted((Path(__file__).parent.parent / "examples").glob("*.wav"))
MAX_TOKENS = 30
TIMEOUT_S = 30.0
LAST_FAULT = 600

OPENER = build_opener(ProxyHandler({}))  # past any proxy: the server is near


class Ask(NamedTuple):
    """One request."""

    path: str
    body: bytes
    content_type: str = "application/json"


def main() -> int:
    """Ask; see above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default 600)")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second (default 20)")
    options = parser.parse_args()
    url = options.url.rstrip("/")
    until_s = time.monotonic() + options.seconds
    wait_ready(url, until_s)
    asks = itertools.cycle(all_asks(url))
    statuses: Counter[int] = Counter()
    next_s = time.monotonic()
    while (now_s := time.monotonic()) < until_s:
        time.sleep(max(next_s - now_s, 0.0))
        next_s = max(next_s + 1 / options.rate, now_s)  # what is late is not made up for
        statuses[send(url, next(asks))] += 1
    counts = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    sys.stdout.write(f"{sum(statuses.values())} answers: {counts}\n")
    faults = sum(count for status, count in statuses.items() if 500 <= status < LAST_FAULT)
    return int(not statuses[200] or bool(faults))


def wait_ready(url: str, until_s: float) -> None:
    """Return when the server is ready, or the time over."""
    while time.monotonic() < until_s:
        try:
            with OPENER.open(f"{url}/v2/health/ready", timeout=TIMEOUT_S):
                return
        except OSError:  # not there yet, or 503
            time.sleep(0.5)


def all_asks(url: str) -> list[Ask]:
    """What there is to ask: of every model a few, in turn, and what can't be answered."""
    paths = get(f"{url}/openapi.json")["paths"]
    of_models = [list(asks_of(model, paths)) for model in get(f"{url}/v1/models")["models"]]
    rounds = [list(filter(None, turn)) for turn in itertools.zip_longest(*of_models)]
    return [*itertools.chain(*rounds), *wrong_asks([asks[0] for asks in of_models])]


def asks_of(model: dict[str, Any], paths: dict[str, Any]) -> Iterator[Ask]:
    """Requests to one model."""
    name, task = model["name"], model["task"]
    predict = f"/v1/models/{name}/predict"
    examples = paths[predict]["post"]["requestBody"]["content"]["application/json"]["examples"]
    example = examples["example"]["value"]
    yield Ask(predict, json.dumps(example).encode())
    if task in ("classification", "transcription"):
        for recording in RECORDINGS:
            yield Ask(predict, recording.read_bytes(), "audio/wav")
    if task == "generation":
        said = {"max_tokens": MAX_TOKENS, "seed": 1}
        for stream in (False, True):
            body = {"prompts": "The king said ", "stream": stream, **said}
            yield Ask(f"/v1/models/{name}/generate", json.dumps(body).encode())
        triton = {"text_input": "Once more \N{SNOWMAN} ", "parameters": said}
        yield Ask(f"/v2/models/{name}/generate", json.dumps(triton).encode())
    if task == "forecasting":
        series = json.loads(json.dumps(example))
        for each in series["series"]:
            each["values"][-1] = None  # as where a sensor was silent
        yield Ask(predict, json.dumps(series).encode())
    if "texts" in example:
        yield Ask(predict, json.dumps({"texts": "caf\u00e9 \N{SNOWMAN} zzyzx"}).encode())
    if "sequences" in example:
        batch = tensors(example["sequences"][0])
        yield Ask(f"/v2/models/{name}/infer", json.dumps(batch).encode())


def tensors(sequence: list[list[float]]) -> dict[str, Any]:
    """A sequence as the Open Inference Protocol has it."""
    shape = [1, len(sequence), len(sequence[0])]
    return {"inputs": [{"name": "inputs", "shape": shape, "datatype": "FP32", "data": [sequence]}]}


def wrong_asks(fit: list[Ask]) -> Iterator[Ask]:
    """Requests that are refused: no JSON, no such model, another type, an empty one."""
    for ask in fit[:3]:
        yield Ask(ask.path, b"{")
        yield Ask(ask.path, b"{}")
        yield Ask(ask.path, ask.body, "text/plain")
    yield Ask("/v1/models/no-such-model/predict", b"{}")


def send(url: str, ask: Ask) -> int:
    """The status of an answer, which is read to its end; 0 if none came."""
    headers = {"Content-Type": ask.content_type, "traceparent": new_trace()}
    request = Request(f"{url}{ask.path}", ask.body, headers)
    try:
        with OPENER.open(request, timeout=TIMEOUT_S) as answer:
            answer.read()
            status: int = answer.status
    except HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0
    return status


def new_trace() -> str:
    """A trace of the request's own."""
    return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64) or 1:016x}-01"


def get(url: str) -> Any:
    """The JSON at an address."""
    with OPENER.open(url, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Leaves the lines of the description as they are."""


if __name__ == "__main__":
    sys.exit(main())
