"""BentoML: an adaptive batch for each model, two workers."""

import os
import sys
from pathlib import Path

import bentoml
import numpy as np

MAX_BATCH_SIZE, MAX_LATENCY_MS, NUM_WORKERS = 32, 5_000, 2
batched = bentoml.api(batchable=True, max_batch_size=MAX_BATCH_SIZE, max_latency_ms=MAX_LATENCY_MS)
Sequences = list[list[list[float]]]


@bentoml.service(workers=NUM_WORKERS, traffic={"timeout": 60})
class Graphs:
    """All graphs, a session of each in every worker."""

    def __init__(self) -> None:
        from graph import MODELS, Graph

        repository = os.environ["BENCH_REPOSITORY"]
        self._graphs = {name: Graph(repository, name) for name in MODELS}

    def _run(self, name: str, sequences: Sequences) -> list[list[float]]:
        arrays = [np.array(sequence, dtype=np.float32) for sequence in sequences]
        return self._graphs[name].run_sequences(arrays).tolist()

    @batched
    def lstm(self, sequences: Sequences) -> list[list[float]]:
        """The logits of every sequence."""
        return self._run("lstm", sequences)

    @batched
    def bigru(self, sequences: Sequences) -> list[list[float]]:
        """The logits of every sequence."""
        return self._run("bigru", sequences)

    @batched
    def transformer(self, sequences: Sequences) -> list[list[float]]:
        """The logits of every sequence."""
        return self._run("transformer", sequences)


if __name__ == "__main__":
    repository, port = sys.argv[1:]
    os.environ |= {"BENCH_REPOSITORY": repository, "BENTOML_HOME": str(Path.cwd() / "bentoml")}
    here = str(Path(__file__).parent)
    arguments = ["serve", "server:Graphs", "--working-dir", here, "--quiet"]
    os.execv(
        Path(sys.executable).parent / "bentoml",
        ["bentoml", *arguments, "--host", "127.0.0.1", "--port", port],
    )
