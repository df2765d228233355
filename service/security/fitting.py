"""Makes the bounds that nobody set fit into the memory that there is, as of a small container.

limit = 1/4 for what models take outside their pool, and for what lies between pieces in use
      + of each worker: the process, the pool of the graphs, what requests can hold
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

import structlog

from service.memory import limit_bytes
from service.security.budget import memory_bounds
from service.settings import Settings

log = structlog.get_logger(__name__)

PROCESS_BYTES = 128 << 20
"""Of one with its libraries and no model: 99 MiB, with gRPC 114."""
SUPERVISOR_BYTES = 64 << 20
LEAST_GRAPH_BYTES = 64 << 20
"""All 24 bundled models were seen to need 48 MiB of the pool."""

STEPS = 4_096
LEAST_STEPS = 32
SHARES = {
    "max_bodies_bytes": 1,
    "max_rpcs": 1,
    "max_upload_bytes": 1,
    "max_connections": 2,
    "max_body_bytes": 4,
}
"""What gives way, by steps from nothing to its default; of several, sooner than the others."""


class Fit(NamedTuple):
    """Settings that fit into a limit, as far as what was set lets them."""

    settings: Settings
    limit: int | None
    """Of all workers together, bytes; None: nothing had to fit."""
    needed: int
    """What they can take of it at most, bytes."""

    @property
    def fits(self) -> bool:
        """Whether that is enough."""
        return self.limit is None or self.needed <= self.limit


def fit_memory(settings: Settings, own: int | None) -> Fit:
    """Make bounds smaller until all fits; those that were set stay as they are.

    Args:
        settings: As they were given.
        own: The limit of the process or its container, bytes; None: it has none.
    """
    limits = [limit for limit in (settings.max_memory_bytes, own) if limit is not None]
    if not limits:
        return Fit(settings, None, 0)
    limit = min(limits)
    room = (limit * 3 // 4 - _supervisor_bytes(settings)) // settings.workers - PROCESS_BYTES
    graphs = settings.max_graph_bytes or max(room // 2, LEAST_GRAPH_BYTES)
    steps = range(LEAST_STEPS, STEPS + 1)
    fitting = bisect_right(
        steps, room - graphs, key=lambda step: memory_bounds(_smaller(settings, step)).total
    )
    settings = _smaller(settings, steps[max(fitting, 1) - 1])
    requests = memory_bounds(settings).total
    if settings.max_graph_bytes is None:
        graphs = max(room - requests, LEAST_GRAPH_BYTES)
        settings = settings.model_copy(update={"max_graph_bytes": graphs})
    of_each = PROCESS_BYTES + graphs + requests
    needed = limit // 4 + _supervisor_bytes(settings) + settings.workers * of_each
    return Fit(settings, limit, needed)


def _smaller(settings: Settings, step: int) -> Settings:
    """With so much of the defaults, of `STEPS`."""
    changed: dict[str, int] = {}
    for name, share in SHARES.items():
        if name not in settings.model_fields_set | _unused(settings):
            default: int = getattr(settings, name)
            changed[name] = min(default, max(default * share * step // STEPS, 1))
    if "max_bodies_bytes" in changed:  # one that was allowed by name must have room
        changed["max_bodies_bytes"] = max(
            changed["max_bodies_bytes"], changed.get("max_body_bytes", settings.max_body_bytes)
        )
    return settings.model_copy(update=changed)


def _unused(settings: Settings) -> set[str]:
    """Bounds of what this server does not do."""
    unused = {"max_rpcs"} if settings.grpc_port is None else set()
    return unused if settings.controls_models else unused | {"max_upload_bytes"}


def _supervisor_bytes(settings: Settings) -> int:
    return SUPERVISOR_BYTES if settings.workers > 1 else 0


def check_memory(settings: Settings) -> None:
    """Hold the bounds against the memory that the operator allows, if they did.

    Raises:
        ValueError: They do not fit; each is named.
    """
    fit = fit_memory(settings, None)
    if not fit.fits:
        parts = ", ".join(f"{name} {value}" for name, value in _parts(fit.settings).items())
        raise ValueError(
            f"max_memory_bytes is {settings.max_memory_bytes}, {fit.needed} could be needed: "
            f"{settings.workers} workers, of each {parts}; see docs/security.md"
        )


def with_memory(settings: Settings) -> Settings:
    """Settings that fit into the memory there is; tells what they allow, and what was made smaller.

    Where they can't, because of what was set or because it is too little for any server, that is
    told too: the kernel would end a process that takes more.
    """
    fit = fit_memory(settings, limit_bytes())
    smaller = {
        name: value
        for name in SHARES
        if (value := getattr(fit.settings, name)) != getattr(settings, name)
    }
    bounds = memory_bounds(fit.settings)
    why = {"limit": fit.limit, "smaller": smaller} if fit.limit is not None else {}
    log.info("memory bounded", total=bounds.total, **bounds._asdict(), **why)
    if not fit.fits:
        log.warning(
            "memory may not suffice: set smaller bounds, or allow more",
            limit=fit.limit,
            needed=fit.needed,
            workers=settings.workers,
            **_parts(fit.settings),
        )
    return fit.settings


def _parts(settings: Settings) -> dict[str, int]:
    """Of a worker, bytes; what there is none of is left out."""
    parts = {
        "process": PROCESS_BYTES,
        "graphs": settings.max_graph_bytes or 0,
        **memory_bounds(settings)._asdict(),
    }
    return {name: value for name, value in parts.items() if value}
