"""Plain FastAPI: a pydantic body, session.run in the thread pool, no batching; two processes."""

import sys

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException
from graph import MODELS, Graph
from pydantic import BaseModel


class Request(BaseModel):
    """Sequences, each (time, features)."""

    sequences: list[list[list[float]]]


class Answer(BaseModel):
    """Of each sequence, the logits."""

    logits: list[list[float]]


def create_app() -> FastAPI:
    """The application, with a session of every graph."""
    repository = sys.argv[1]
    graphs = {name: Graph(repository, name) for name in MODELS}
    app = FastAPI()

    @app.post("/{name}")
    def predict(name: str, request: Request) -> Answer:
        if name not in graphs:
            raise HTTPException(404)
        sequences = [np.array(sequence, dtype=np.float32) for sequence in request.sequences]
        return Answer(logits=graphs[name].run_sequences(sequences).tolist())

    return app


if __name__ == "__main__":
    uvicorn.run(
        "server:create_app",
        factory=True,
        port=int(sys.argv[2]),
        workers=2,
        access_log=False,
        log_level="warning",
        timeout_worker_healthcheck=3_600,  # a paused server is no dead one
    )
