"""Mosec: a route for each model, two workers each; bodies by orjson, or msgpack of raw bytes."""

import os
import sys

import msgpack
import numpy as np
import orjson
from graph import MODELS, Graph
from mosec import Runtime, Server, Worker

MAX_BATCH_SIZE, MAX_WAIT_MS, NUM_WORKERS, TIMEOUT_MS = 8, 1, 2, 30_000


class GraphWorker(Worker):
    """Runs all sequences of all requests of a batch at once."""

    def __init__(self) -> None:
        self._graph = Graph(sys.argv[1], os.environ["GRAPH"])

    def forward(self, requests: list[list[np.ndarray]]) -> list[np.ndarray]:
        """Of each request's sequences (time, features), the logits (batch, classes)."""
        sequences = [sequence for request in requests for sequence in request]
        logits = self._graph.run_sequences(sequences)
        ends = np.cumsum([len(request) for request in requests])[:-1]
        return np.split(logits, ends)


class JsonWorker(GraphWorker):
    """Nested lists."""

    def deserialize(self, body: bytes) -> list[np.ndarray]:
        """The sequences of a request."""
        sequences = orjson.loads(body)["sequences"]
        return [np.array(sequence, dtype=np.float32) for sequence in sequences]

    def serialize(self, logits: np.ndarray) -> bytes:
        """The answer's body."""
        return orjson.dumps({"logits": logits}, option=orjson.OPT_SERIALIZE_NUMPY)


class MsgpackWorker(GraphWorker):
    """`lengths`, and all steps as raw float32."""

    resp_mime_type = "application/msgpack"

    def deserialize(self, body: bytes) -> list[np.ndarray]:
        """The sequences of a request."""
        request = msgpack.unpackb(body)
        steps = np.frombuffer(request["data"], np.float32).reshape(sum(request["lengths"]), -1)
        return np.split(steps, np.cumsum(request["lengths"])[:-1])

    def serialize(self, logits: np.ndarray) -> bytes:
        """The answer's body."""
        return msgpack.packb({"shape": logits.shape, "logits": logits.tobytes()})


if __name__ == "__main__":
    os.environ |= {
        "MOSEC_ADDRESS": "127.0.0.1",
        "MOSEC_PORT": sys.argv[2],
        "MOSEC_LOG_LEVEL": "warning",
        "MOSEC_TIMEOUT": str(TIMEOUT_MS),
    }
    worker = {"json": JsonWorker, "msgpack": MsgpackWorker}[sys.argv[3]]
    server = Server()
    routes = {}
    for name in MODELS:
        environment = [{"GRAPH": name}] * NUM_WORKERS
        routes[f"/{name}"] = [
            Runtime(worker, NUM_WORKERS, MAX_BATCH_SIZE, MAX_WAIT_MS, env=environment)
        ]
    server.register_runtime(routes)
    server.run()
