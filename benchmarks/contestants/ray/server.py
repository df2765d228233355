"""Ray Serve: an application for each model, batched in each of two replicas."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile

# Ray reads its environment when it is imported
os.environ |= {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_AUTH_MODE": "disabled"}

import numpy as np
import ray
from fastapi import Body, FastAPI
from graph import MODELS, Graph
from ray import serve
from ray.serve.config import HTTPOptions

MAX_BATCH_SIZE, BATCH_WAIT_S, NUM_REPLICAS, MAX_ONGOING_REQUESTS = 32, 0.002, 2, 1_000
LOGGING = {"enable_access_log": False, "log_level": "WARNING"}

ingress = FastAPI()


@serve.deployment(
    num_replicas=NUM_REPLICAS,
    max_ongoing_requests=MAX_ONGOING_REQUESTS,
    ray_actor_options={"num_cpus": 0.1},
    logging_config=LOGGING,
)
@serve.ingress(ingress)
class GraphDeployment:
    """A bundle's graph."""

    def __init__(self, repository: str, name: str) -> None:
        self._graph = Graph(repository, name)

    @serve.batch(max_batch_size=MAX_BATCH_SIZE, batch_wait_timeout_s=BATCH_WAIT_S)
    async def run(self, requests: list[list[np.ndarray]]) -> list[list[list[float]]]:
        """Of each request's sequences (time, features), the logits."""
        sequences = [sequence for request in requests for sequence in request]
        logits = await asyncio.to_thread(self._graph.run_sequences, sequences)
        ends = np.cumsum([len(request) for request in requests])[:-1]
        return [rows.tolist() for rows in np.split(logits, ends)]

    @ingress.post("/")
    async def predict(self, body: dict = Body()) -> dict:  # noqa: B008 - FastAPI's way
        """The answer's body."""
        sequences = [np.array(sequence, dtype=np.float32) for sequence in body["sequences"]]
        return {"logits": await self.run(sequences)}


if __name__ == "__main__":
    repository, port = sys.argv[1:]
    sessions = tempfile.mkdtemp(prefix="ray-")  # short: its sockets' paths are bounded
    ray.init(
        include_dashboard=False,
        num_cpus=2,
        log_to_driver=False,
        logging_level="WARNING",
        _temp_dir=sessions,
    )
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=int(port)), logging_config=LOGGING)
    for name in MODELS:
        application = GraphDeployment.bind(repository, name)
        serve.run(application, name=name, route_prefix=f"/{name}")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()
    shutil.rmtree(sessions, ignore_errors=True)
