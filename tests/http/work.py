"""Requests that keep an engine busy for a while, on a machine of whatever speed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx

from tests.http.made import FINE, steps
from tests.http.payloads import predict_path
from tests.http.scrape import Scrape
from tests.servers import Server, wait_until

TRIAL = 4_000.0


def units_per_second(server: Server, model: str) -> float:
    """How much work of a made model this machine does now."""
    started_s = time.perf_counter()
    post(server, model, [steps(FINE, TRIAL)]).raise_for_status()
    return TRIAL / (time.perf_counter() - started_s)


def post(server: Server, model: str, sequences: list[Any], **options: Any) -> httpx.Response:
    """One request to /v1."""
    body = {"sequences": sequences, **options}
    return server.client.post(predict_path(model), json=body)


@contextmanager
def under_way(
    server: Server, model: str, *requests: list[Any]
) -> Iterator[list[Future[httpx.Response]]]:
    """Requests that the server has taken, in this order, when the block begins.

    The first must be work for long enough that the others find it running.
    """
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = []
        rows = taken(server, model)
        for request in requests:
            answers.append(pool.submit(post, server, model, request))
            rows += len(request)
            wait_until(partial(has_taken, server, model, rows))
        yield answers


def has_taken(server: Server, model: str, rows: float) -> bool:
    """Whether so many sequences, at least, wait or run."""
    return taken(server, model) >= rows


def taken(server: Server, model: str) -> float:
    """Sequences that wait or run."""
    scrape = Scrape(server)
    return sum(
        scrape(name, model=model) for name in ("seqserve_queue_depth", "seqserve_active_sequences")
    )


def outcomes(server: Server, outcome: str, **labels: str) -> float:
    """Requests that ended so."""
    return Scrape(server)("seqserve_requests_total", outcome=outcome, **labels)
