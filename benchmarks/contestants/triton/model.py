"""The Python backend's model: all sequences of all requests that Triton joined, in one run."""

import json
import os
import sys

# the interpreter that Triton embeds ignores PYTHONPATH
sys.path[:0] = os.environ["PYTHONPATH"].split(":")

import numpy as np  # noqa: E402
import triton_python_backend_utils as backend  # noqa: E402
from graph import Graph  # noqa: E402


class TritonPythonModel:
    """One instance: a session of its own."""

    def initialize(self, arguments):
        """Load the graph that the configuration names."""
        config = json.loads(arguments["model_config"])
        self._graph = Graph(config["parameters"]["repository"]["string_value"], config["name"])

    def execute(self, requests):
        """Of each request, the logits of its sequences."""
        sequences, ends = [], []
        for request in requests:
            inputs = backend.get_input_tensor_by_name(request, "inputs").as_numpy()
            lengths = backend.get_input_tensor_by_name(request, "lengths")
            if lengths is None:
                sequences += list(inputs)
            else:
                rows = zip(inputs, lengths.as_numpy().ravel(), strict=True)
                sequences += [row[:length] for row, length in rows]
            ends.append(len(sequences))
        logits = np.split(self._graph.run_sequences(sequences), ends[:-1])
        return [
            backend.InferenceResponse([backend.Tensor("logits", np.ascontiguousarray(rows))])
            for rows in logits
        ]
