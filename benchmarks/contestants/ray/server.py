"""Ray Serve: a batched deployment of all models behind a FastAPI ingress, two replicas."""

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
from graph import MODELS, Graph, run_requests
from ray import serve
from ray.serve.config import HTTPOptions

MAX_BATCH_SIZE, BATCH_WAIT_S, NUM_REPLICAS, MAX_ONGOING_REQUESTS = 32, 0.002, 2, 1_000
LOGGING = {"enable_access_log": False, "log_level": "WARNING"}

ingress = FastAPI()


@serve.deployment(
    num_replicas=NUM_REPLICAS,
    max_ongoing_requests=MAX_ONGOING_REQUESTS,
    ray_actor_options={"num_cpus": 1},
    logging_config=LOGGING,
)
@serve.ingress(ingress)
class GraphDeployment:
    """All graphs."""

    def __init__(self, repository: str) -> None:
        self._graphs = {name: Graph(repository, name) for name in MODELS}

    @serve.batch(max_batch_size=MAX_BATCH_SIZE, batch_wait_timeout_s=BATCH_WAIT_S)
    async def run(self, requests: list[tuple[str, list[np.ndarray]]]) -> list[np.ndarray]:
        """Of each request for a model by name, the logits of its sequences (time, features)."""
        return await asyncio.to_thread(run_requests, self._graphs, requests)

    @ingress.post("/{name}")
    async def predict(self, name: str, body: dict = Body()) -> dict:  # noqa: B008 - FastAPI's way
        """The answer's body."""
        sequences = [np.array(sequence, dtype=np.float32) for sequence in body["sequences"]]
        logits = await self.run((name, sequences))
        return {"logits": logits.tolist()}


if __name__ == "__main__":
    repository, port = sys.argv[1:]
    sessions = tempfile.mkdtemp(prefix="ray-")  # short: its sockets' paths are bounded
    ray.init(
        include_dashboard=False,
        num_cpus=NUM_REPLICAS,
        log_to_driver=False,
        logging_level="WARNING",
        _temp_dir=sessions,
    )
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=int(port)), logging_config=LOGGING)
    serve.run(GraphDeployment.bind(repository))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()
    shutil.rmtree(sessions, ignore_errors=True)
