"""Who may ask what: every route and every method, decided once by hand.

What a server has and is not here, or is here and not there, fails the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

OPEN, INFER, METRICS, ADMIN = "nothing", "infer", "metrics", "admin"

_MODEL = "/v2/models/{name}"
_VERSION = _MODEL + "/versions/{version}"
_MEMORY = [f"/v2/{kind}sharedmemory" for kind in ("system", "cuda")]

_ROUTES: Mapping[str, Iterable[str]] = {
    OPEN: ["GET /", "GET /docs", "GET /docs/{name}", "GET /v2/health/live", "GET /v2/health/ready"],
    METRICS: ["GET /metrics"],
    INFER: [
        "GET /openapi.json",
        *("GET /v2", "GET /v2/", "GET /v2/models", "GET /v2/models/stats"),
        *(f"GET {path}{what}" for path in (_MODEL, _VERSION) for what in ("", "/ready", "/stats")),
        *(f"GET {path}/config" for path in (_MODEL, _VERSION)),
        *(f"POST {path}/infer" for path in (_MODEL, _VERSION)),
        *(f"POST {path}/generate" for path in (_MODEL, _VERSION)),
        *(f"POST {path}/generate_stream" for path in (_MODEL, _VERSION)),
        "POST /v2/repository/index",
        *("GET /v1/models", "POST /v1/models/{name}/predict", "POST /v1/models/{name}/generate"),
        *("GET /v1/timeseries/models", "POST /v1/timeseries/forecast"),
    ],
    ADMIN: [
        "POST /v2/repository/models/{name}/load",
        "POST /v2/repository/models/{name}/unload",
        *("GET /v2/logging", "POST /v2/logging"),
        *("GET /v2/trace/setting", "POST /v2/trace/setting"),
        *(f"{method} {_MODEL}/trace/setting" for method in ("GET", "POST")),
        *(f"GET {path}{what}/status" for path in _MEMORY for what in ("", "/region/{region}")),
        *(f"POST {path}{what}" for path in _MEMORY for what in (
            "/unregister", "/region/{region}/register", "/region/{region}/unregister",
        )),
    ],
}  # fmt: skip
ROUTES = {route: needed for needed, routes in _ROUTES.items() for route in routes}
"""What a key needs for each method and path, as the application has them."""

_METHODS: Mapping[str, Iterable[str]] = {
    OPEN: ["ServerLive", "ServerReady"],
    INFER: [
        *("ServerMetadata", "ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"),
        *("ModelInfer", "ModelStreamInfer", "RepositoryIndex"),
    ],
    ADMIN: [
        *("RepositoryModelLoad", "RepositoryModelUnload", "LogSettings", "TraceSetting"),
        *(f"{kind}SharedMemory{what}" for kind in ("System", "Cuda")
          for what in ("Status", "Register", "Unregister")),
    ],
}  # fmt: skip
METHODS = {method: needed for needed, methods in _METHODS.items() for method in methods}
"""What a key needs for each method of the inference service."""
SERVICES = {
    "inference.GRPCInferenceService",
    "grpc.health.v1.Health",  # open
    "grpc.reflection.v1alpha.ServerReflection",  # open
}

CALLERS: Mapping[str, set[str]] = {
    "nobody": set(),
    "unknown": set(),
    "asker": {INFER},
    "scraper": {METRICS},
    "admin": {ADMIN},
}
"""Each with its scopes; the first two have no key that is known."""


def routes_of(routes: Iterable[object]) -> Iterator[tuple[str, str]]:
    """Method and path of every route of an application, those of its parts too."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes_of(inner.routes)
        else:  # of a kind that has no methods: not decided, so it fails here
            for method in route.methods - {"HEAD"}:  # type: ignore[attr-defined]
                yield method, route.path  # type: ignore[attr-defined]


def decide(needed: str, caller: str | None, method: str, is_foreign: bool) -> str:
    """The code of a refusal; empty: let in.

    Args:
        needed: By the tables above.
        caller: One of `CALLERS`; None: the server is on a loopback address and has no keys.
        method: Of HTTP.
        is_foreign: A page of another site asks.
    """
    if is_foreign and method != "GET":
        return "cross_site"
    if caller is None or needed == OPEN or needed in CALLERS[caller]:
        return ""
    return "forbidden" if CALLERS[caller] else "unauthenticated"
