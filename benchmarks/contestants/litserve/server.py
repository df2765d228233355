"""LitServe: one API for all models, one worker, two API servers."""

import sys

import litserve
import numpy as np
from graph import MODELS, Graph, run_requests

MAX_BATCH_SIZE, BATCH_TIMEOUT_S, NUM_API_SERVERS = 32, 0.002, 2

Request = tuple[str, list[np.ndarray]]


class GraphApi(litserve.LitAPI):
    """All graphs in one worker, as an idle worker polls its queue; a request names its model."""

    def __init__(self, repository: str) -> None:
        super().__init__(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_S)
        self._repository = repository

    def setup(self, device: str) -> None:
        """Load the graphs in the worker."""
        self._graphs = {name: Graph(self._repository, name) for name in MODELS}

    def decode_request(self, request: dict) -> Request:
        """The model and the sequences of a request."""
        sequences = [np.array(sequence, dtype=np.float32) for sequence in request["sequences"]]
        return request["model"], sequences

    def batch(self, requests: list[Request]) -> list[Request]:
        """As they are: the run pads."""
        return requests

    def predict(self, requests: list[Request]) -> list[np.ndarray]:
        """Of each request, the logits (batch, classes)."""
        return run_requests(self._graphs, requests)

    def unbatch(self, answers: list[np.ndarray]) -> list[np.ndarray]:
        """As they are."""
        return answers

    def encode_response(self, logits: np.ndarray) -> dict:
        """The answer's body."""
        return {"logits": logits.tolist()}


if __name__ == "__main__":
    repository, port = sys.argv[1:]
    server = litserve.LitServer(
        GraphApi(repository), accelerator="cpu", workers_per_device=1, fast_queue=True
    )
    server.run(
        host="127.0.0.1",
        port=int(port),
        num_api_servers=NUM_API_SERVERS,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
