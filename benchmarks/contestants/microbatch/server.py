"""A micro-batcher as a good programmer writes it: Starlette, orjson, a queue and a thread a model.

The batch is what waits when the last one ended, at most eight sequences, padded to the longest;
nothing waits for a timer. Two processes.
"""

import asyncio
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import orjson
import uvicorn
from graph import MODELS, Graph
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MAX_BATCH_SIZE = 8


class Batcher:
    """Runs what waits for one graph, a batch at a time."""

    def __init__(self, graph: Graph, executor: ThreadPoolExecutor) -> None:
        self._graph = graph
        self._executor = executor
        self._waiting: deque[tuple[np.ndarray, asyncio.Future[list[float]]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def predict(self, sequence: np.ndarray) -> asyncio.Future[list[float]]:
        """The logits of one sequence (time, features), once its batch ran."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((sequence, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            count = min(MAX_BATCH_SIZE, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(count)]
            sequences = [sequence for sequence, _ in batch]
            try:
                logits = await loop.run_in_executor(
                    self._executor, self._graph.run_sequences, sequences
                )
            except Exception as error:  # noqa: BLE001 - the callers get it
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), row in zip(batch, logits.tolist(), strict=True):
                if not future.done():
                    future.set_result(row)
        self._task = None


def create_app() -> Starlette:
    """The application, with a session and a queue for every graph."""
    executor = ThreadPoolExecutor(max_workers=1)
    batchers = {name: Batcher(Graph(sys.argv[1], name), executor) for name in MODELS}

    async def predict(request: Request) -> Response:
        batcher = batchers.get(request.path_params["name"])
        if batcher is None:
            raise HTTPException(404)
        body = orjson.loads(await request.body())
        sequences = [np.array(sequence, dtype=np.float32) for sequence in body["sequences"]]
        logits = await asyncio.gather(*map(batcher.predict, sequences))
        return Response(orjson.dumps({"logits": logits}), media_type="application/json")

    return Starlette(routes=[Route("/{name}", predict, methods=["POST"])])


if __name__ == "__main__":
    uvicorn.run(
        "server:create_app",
        factory=True,
        port=int(sys.argv[2]),
        workers=2,
        access_log=False,
        log_level="warning",
        timeout_worker_healthcheck=3_600,  # a paused server is no dead one
    )
