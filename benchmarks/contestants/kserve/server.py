"""KServe's model server: the v1 protocol, two worker processes, no batcher."""

import sys

import numpy as np
from graph import MODELS, Graph
from kserve import Model, ModelServer

NUM_WORKERS = 2


class GraphModel(Model):
    """A bundle's graph; models are pickled to the workers, so each loads its session when asked."""

    def __init__(self, repository: str, name: str) -> None:
        super().__init__(name)
        self._repository = repository
        self._graph: Graph | None = None
        self.ready = True

    def predict(self, payload: dict, headers: dict[str, str] | None = None) -> dict:
        """The logits of the instances, each a sequence (time, features)."""
        if self._graph is None:
            self._graph = Graph(self._repository, self.name)
        sequences = [np.array(sequence, dtype=np.float32) for sequence in payload["instances"]]
        return {"predictions": self._graph.run_sequences(sequences).tolist()}


if __name__ == "__main__":
    repository, port = sys.argv[1:3]  # what follows is KServe's own
    ModelServer(
        http_port=int(port), workers=NUM_WORKERS, enable_grpc=False, enable_latency_logging=False
    ).start([GraphModel(repository, name) for name in MODELS])
