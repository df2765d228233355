"""LitServe: an API for each model, one worker each, two API servers."""

import sys

import litserve
import numpy as np
from graph import MODELS, Graph

MAX_BATCH_SIZE, BATCH_TIMEOUT_S, NUM_API_SERVERS = 32, 0.002, 2


class GraphApi(litserve.LitAPI):
    """Runs all sequences of the requests of a batch at once."""

    def __init__(self, repository: str, name: str) -> None:
        super().__init__(
            max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_S, api_path=f"/{name}"
        )
        self._repository, self._name = repository, name

    def setup(self, device: str) -> None:
        """Load the graph in the worker."""
        self._graph = Graph(self._repository, self._name)

    def decode_request(self, request: dict) -> list[np.ndarray]:
        """The sequences of a request."""
        return [np.array(sequence, dtype=np.float32) for sequence in request["sequences"]]

    def batch(self, requests: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
        """As they are: `predict` pads."""
        return requests

    def predict(self, requests: list[list[np.ndarray]]) -> list[np.ndarray]:
        """Of each request, the logits (batch, classes)."""
        sequences = [sequence for request in requests for sequence in request]
        logits = self._graph.run_sequences(sequences)
        return np.split(logits, np.cumsum([len(request) for request in requests])[:-1])

    def unbatch(self, answers: list[np.ndarray]) -> list[np.ndarray]:
        """As they are."""
        return answers

    def encode_response(self, logits: np.ndarray) -> dict:
        """The answer's body."""
        return {"logits": logits.tolist()}


if __name__ == "__main__":
    repository, port = sys.argv[1:]
    server = litserve.LitServer(
        [GraphApi(repository, name) for name in MODELS],
        accelerator="cpu",
        workers_per_device=1,
        fast_queue=True,
    )
    server.run(
        host="127.0.0.1",
        port=int(port),
        num_api_servers=NUM_API_SERVERS,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
