"""Clients that ask without pause, know the right answers, and come again when they are told to."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import numpy as np

from benchmarks.servers.serving import Reference, make_sequences
from tests.http.payloads import tensor
from tests.servers import REPOSITORY

TOLERANCE = 1e-4  # of a logit
ANSWER_S = 20.0  # without a word in this time, a request is lost
AGAIN_S = 0.1  # between two tries, whatever Retry-After says: the scenarios are short
MOST_TRIES = 300
RETRYABLE = (429, 503)


@dataclass
class Tally:
    """What clients saw."""

    right: int = 0
    wrong: int = 0
    again: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    """Of the tries that were answered."""

    def p99_ms(self) -> float:
        """Of the tries that were answered."""
        return round(1_000 * float(np.percentile(self.latencies_s, 99)), 1)


@dataclass(frozen=True)
class Question:
    """A body to send, and what is to come back for it."""

    model: str
    inputs: list[dict[str, Any]]
    logits: list[float]


@cache
def questions(model: str, count: int = 50) -> Sequence[Question]:
    """Sequences of mixed lengths for a bundled model, answered by onnxruntime alone."""
    reference = Reference(REPOSITORY / model / "1")
    random = np.random.default_rng(7)
    lengths = random.integers(2, 60, count)
    asked = []
    for sequence in make_sequences(reference.manifest, lengths, random):
        inputs = [
            tensor("inputs", sequence[None]),
            tensor("lengths", np.array([len(sequence)], np.int64)),
        ]
        asked.append(Question(model, inputs, reference.logits(sequence).tolist()))
    return asked


class Clients:
    """So many clients of a server, in a thread of their own.

    Args:
        url: Of the server.
        count: Of clients, each with one request at a time.
        models: Bundled ones, which they ask in turn.
    """

    def __init__(self, url: str, count: int = 8, models: Sequence[str] = ("digits-lstm",)) -> None:
        self.tally = Tally()
        self._url = url
        self._count = count
        self._asked = [it for group in zip(*map(questions, models), strict=True) for it in group]
        self._ids = itertools.count()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask_all()))
        self._thread.start()

    def stop(self) -> Tally:
        """Have each end with the request in hand."""
        self._stopping.set()
        self._thread.join()
        return self.tally

    def wait_right(self, more: int, timeout_s: float = 30.0) -> None:
        """Return when so many more were answered rightly, or the time is over."""
        wanted, stop_s = self.tally.right + more, time.monotonic() + timeout_s
        while self.tally.right < wanted and time.monotonic() < stop_s:
            time.sleep(0.02)

    async def _ask_all(self) -> None:
        limits = httpx.Limits(max_connections=self._count)
        async with httpx.AsyncClient(base_url=self._url, timeout=ANSWER_S, limits=limits) as http:
            await asyncio.gather(*(self._client(http, seed) for seed in range(self._count)))

    async def _client(self, http: httpx.AsyncClient, seed: int) -> None:
        random = np.random.default_rng(seed)
        while not self._stopping.is_set():
            await self._ask(http, self._asked[random.integers(len(self._asked))])

    async def _ask(self, http: httpx.AsyncClient, question: Question) -> None:
        """Ask one question until it is answered."""
        name = f"q{next(self._ids)}"
        path, body = f"/v2/models/{question.model}/infer", {"id": name, "inputs": question.inputs}
        for _ in range(MOST_TRIES):
            began_s = time.perf_counter()
            try:
                response = await http.post(path, json=body)
            except httpx.TimeoutException:
                self.tally.lost.append(f"no answer in {ANSWER_S:g} s")
                return
            except httpx.TransportError as error:  # nothing was computed twice: it has no effects
                self.tally.again[type(error).__name__] += 1
                await asyncio.sleep(AGAIN_S)
                continue
            if response.status_code in RETRYABLE and "Retry-After" in response.headers:
                self.tally.again[f"{response.status_code} {response.json()['code']}"] += 1
                await asyncio.sleep(AGAIN_S)
                continue
            self._check(question, name, response, time.perf_counter() - began_s)
            return
        self.tally.lost.append(f"refused {MOST_TRIES} times")

    def _check(
        self, question: Question, name: str, response: httpx.Response, took_s: float
    ) -> None:
        if response.status_code != 200:
            self.tally.lost.append(f"{response.status_code}: {response.text[:200]}")
            return
        self.tally.latencies_s.append(took_s)
        answer = response.json()
        logits = next(it["data"] for it in answer["outputs"] if it["name"] == "logits")
        far = np.abs(np.subtract(logits, question.logits)).max()
        if answer.get("id") == name and far <= TOLERANCE:
            self.tally.right += 1
        else:
            self.tally.wrong += 1


@contextmanager
def asking(url: str, count: int = 8, models: Sequence[str] = ("digits-lstm",)) -> Iterator[Clients]:
    """Clients that ask within the block, and at its end too until they are stopped."""
    clients = Clients(url, count, models)
    try:
        clients.wait_right(50)
        yield clients
    finally:
        clients.stop()
