"""Every contestant: its program, its wire and the settings chosen for it, ours first."""

from __future__ import annotations

from benchmarks.contestants.peer import HERE, Peer, Program
from benchmarks.contestants.wires import Msgpack, NestedJson, OpenInferenceBinary, OpenInferenceJson


def _server(folder: str, *arguments: str, venv: str | None = None) -> Program:
    """`<folder>/server.py` in the virtualenv of the same name, if it has no other's."""
    script = str(HERE / folder / "server.py")
    return Program((script, "{repository}", "{port}", *arguments), venv or folder)


SEQSERVE_OPTIONS: tuple[str, ...] = ()
"""What ours is given beyond its defaults, as `python -m service` takes it."""
SEQSERVE_SETTINGS = " ".join(SEQSERVE_OPTIONS) or "its defaults"
SEQSERVE_COMMAND = "-m service --port {port} --repository {repository} --log-level error"
SEQSERVE = Program((*SEQSERVE_COMMAND.split(), *SEQSERVE_OPTIONS))
MOSEC_SETTINGS = "2 workers, max_batch_size 8, max_wait_time 1 ms"
TRITON = _server("triton", venv="pytriton")
TRITON_SETTINGS = (
    "Triton's binary, Python backend with onnxruntime, 2 instances, dynamic batcher of 32 with no "
    "delay, ragged batches"
)

ROSTER: tuple[Peer, ...] = (
    Peer("seqserve", "seqserve", SEQSERVE, OpenInferenceJson(), SEQSERVE_SETTINGS),
    Peer("seqserve-binary", "seqserve", SEQSERVE, OpenInferenceBinary(), SEQSERVE_SETTINGS),
    Peer(
        "seqserve-int8-binary",
        "seqserve",
        SEQSERVE,
        OpenInferenceBinary({"precision": "int8"}),
        f"{SEQSERVE_SETTINGS}; every request asks for int8",
    ),
    Peer(
        "fastapi",
        "fastapi",
        _server("fastapi"),
        NestedJson(),
        "FastAPI, pydantic body, session.run in the thread pool, no batching; 2 uvicorn workers",
    ),
    Peer(
        "microbatch",
        "microbatch",
        _server("microbatch"),
        NestedJson(),
        "Starlette, orjson, own queue, batches of at most 8 with no delay; 2 uvicorn workers",
    ),
    Peer("mosec-orjson", "mosec-orjson", _server("mosec", "json"), NestedJson(), MOSEC_SETTINGS),
    Peer("mosec-msgpack", "mosec-msgpack", _server("mosec", "msgpack"), Msgpack(), MOSEC_SETTINGS),
    Peer("triton-json", "triton", TRITON, OpenInferenceJson(length_shape=(1,)), TRITON_SETTINGS),
    Peer(
        "triton-binary", "triton", TRITON, OpenInferenceBinary(length_shape=(1,)), TRITON_SETTINGS
    ),
    Peer(
        "litserve",
        "litserve",
        _server("litserve"),
        NestedJson("/predict"),
        "max_batch_size 32, batch_timeout 2 ms, fast_queue, 1 worker, 2 API servers",
    ),
    Peer(
        "mlserver",
        "mlserver",
        _server("mlserver"),
        OpenInferenceJson(),
        "parallel_workers 0, no batching: its adaptive batching fails on mixed lengths",
    ),
    Peer(
        "kserve",
        "kserve",
        _server("kserve", "--log_config_file", str(HERE / "kserve" / "logging.json")),
        NestedJson("/v1/models/{model}:predict", "instances", "predictions"),
        "v1 protocol, 2 workers; its Python server has no batcher",
    ),
    Peer(
        "bentoml",
        "bentoml",
        _server("bentoml"),
        NestedJson(answer=None),
        "batchable, max_batch_size 32, max_latency_ms 5000, 2 workers",
    ),
    Peer(
        "ray-serve",
        "ray-serve",
        _server("ray"),
        NestedJson(),
        "@serve.batch of 32 within 2 ms, FastAPI ingress, 2 replicas, throughput-optimised",
        pausable=False,
    ),
    Peer(
        "torchserve",
        "torchserve",
        _server("torchserve"),
        NestedJson("/predictions/{model}"),
        "batchSize 32, maxBatchDelay 2 ms, 2 workers",
    ),
    Peer(
        "pytriton",
        "pytriton",
        _server("pytriton"),
        OpenInferenceBinary(length_shape=(1,)),
        "1 callable, dynamic batcher of 32 within 1 ms, which joins equal lengths only",
    ),
)
