"""The most memory that requests can make one worker hold, derived from its settings.

What the process has when it is ready (libraries, models) comes on top, and so does what belongs to
the models: `max_queue_cells` steps of each, with their outputs, and the state of
`max_active_sequences`.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from service.settings import Settings, max_load_bytes

CONNECTION_BYTES = 256 << 10
"""Of one: what is read of it and not understood, requests behind another, answers not taken."""
TLS_BYTES = 320 << 10
"""More, for one that is encrypted."""
EXPANSION = 48
"""Bytes for each of a body, at most: 45 were measured, of JSON objects with one member each."""
UPLOAD_EXPANSION = 4
"""Likewise, of an uploaded model: text, bytes, the file in memory and the graph."""


class MemoryBounds(NamedTuple):
    """Bytes, each the most there can be."""

    connections: int
    bodies: int
    threads: int
    rpcs: int
    uploads: int
    cache: int

    @property
    def total(self) -> int:
        """All together."""
        return sum(self)


def memory_bounds(settings: Settings) -> MemoryBounds:
    """What one worker's requests can hold."""
    has_tls = settings.tls_certificate is not None
    loads_models = settings.controls_models and settings.max_upload_bytes > 0
    return MemoryBounds(
        connections=settings.max_connections * (CONNECTION_BYTES + has_tls * TLS_BYTES),
        bodies=settings.max_bodies_bytes * EXPANSION,
        threads=num_threads() * settings.max_body_bytes,  # what each decompresses, not yet counted
        rpcs=0 if settings.grpc_port is None else settings.max_rpcs * settings.max_body_bytes,
        uploads=max_load_bytes(settings) * UPLOAD_EXPANSION if loads_models else 0,
        cache=settings.cache_bytes,
    )


def num_threads() -> int:
    """Of asyncio's own, which decode what is long."""
    return min(32, (os.cpu_count() or 1) + 4)
