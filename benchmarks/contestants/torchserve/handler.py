"""TorchServe's handler: all sequences of the requests that it joined, in one run."""

import os

import numpy as np
from graph import Graph


class GraphHandler:
    """A worker's: a session of its own."""

    def initialize(self, context):
        """Load the graph of the model's name."""
        self._graph = Graph(os.environ["BENCH_REPOSITORY"], context.model_name)

    def handle(self, requests, context):
        """Of each request, the logits of its sequences."""
        sequences, ends = [], []
        for request in requests:
            given = request["body"]["sequences"]
            sequences += [np.array(sequence, dtype=np.float32) for sequence in given]
            ends.append(len(sequences))
        logits = np.split(self._graph.run_sequences(sequences), ends[:-1])
        return [{"logits": rows.tolist()} for rows in logits]
