"""Every contestant: its program, its wire and the settings chosen for it, ours first."""

from __future__ import annotations

from benchmarks.contestants.peer import HERE, Peer, Program
from benchmarks.contestants.wires import NestedJson, OpenInferenceBinary, OpenInferenceJson


def _server(folder: str, *arguments: str, **variables: str) -> Program:
    """`<folder>/server.py` in the virtualenv of the same name."""
    script = str(HERE / folder / "server.py")
    return Program((script, "{repository}", "{port}", *arguments), folder, tuple(variables.items()))


SEQSERVE = Program(
    ("-m", "service", "--port", "{port}", "--repository", "{repository}", "--log-level", "warning")
)
SEQSERVE_SETTINGS = "its defaults"

ROSTER: tuple[Peer, ...] = (
    Peer("seqserve", "seqserve", SEQSERVE, OpenInferenceJson(), SEQSERVE_SETTINGS),
    Peer("seqserve-binary", "seqserve", SEQSERVE, OpenInferenceBinary(), SEQSERVE_SETTINGS),
    Peer(
        "seqserve-int8-binary",
        "seqserve",
        SEQSERVE,
        OpenInferenceBinary({"precision": "int8"}),
        f"{SEQSERVE_SETTINGS}; every request asks for int8",
        models=frozenset({"lstm"}),
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
)
