"""pytriton: one callable a model behind Triton's dynamic batcher."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import numpy as np
from graph import MODELS, Graph
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.proxy.types import Request
from pytriton.triton import Triton, TritonConfig

MAX_BATCH_SIZE, MAX_DELAY_US = 32, 1_000
INPUTS = [
    Tensor(name="inputs", dtype=np.float32, shape=(-1, 16)),
    Tensor(name="lengths", dtype=np.int64, shape=(1,), optional=True),
]
OUTPUTS = [Tensor(name="logits", dtype=np.float32, shape=(10,))]


class Callable:
    """A bundle's graph."""

    def __init__(self, repository: str, name: str) -> None:
        self._graph = Graph(repository, name)

    def __call__(self, requests: list[Request]) -> list[dict[str, np.ndarray]]:
        """Of each request, the logits of its sequences."""
        sequences, ends = [], []
        for request in requests:
            rows = list(request["inputs"])
            if "lengths" in request:
                lengths = request["lengths"].ravel()
                rows = [row[:length] for row, length in zip(rows, lengths, strict=True)]
            sequences += rows
            ends.append(len(sequences))
        logits = np.split(self._graph.run_sequences(sequences), ends[:-1])
        return [{"logits": rows} for rows in logits]


def main() -> None:
    """Serve until a signal."""
    repository, port = sys.argv[1:]
    # the interpreter that Triton embeds must load the libpython of the standard library it finds
    os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
    config = TritonConfig(
        http_address="127.0.0.1", http_port=int(port), allow_grpc=False, allow_metrics=False
    )
    batcher = DynamicBatcher(max_queue_delay_microseconds=MAX_DELAY_US)
    workspace = Path.cwd() / "pytriton"
    shutil.rmtree(workspace, ignore_errors=True)  # of a run that was killed: it must not exist
    with Triton(config=config, workspace=workspace) as triton:
        for name in MODELS:
            triton.bind(
                model_name=name,
                infer_func=Callable(repository, name),
                inputs=INPUTS,
                outputs=OUTPUTS,
                config=ModelConfig(max_batch_size=MAX_BATCH_SIZE, batcher=batcher),
            )
        triton.serve()


if __name__ == "__main__":
    main()
