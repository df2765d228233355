"""What bounds the damage that one graph can do to the others."""

from __future__ import annotations

from pydantic import BaseModel, Field


class FaultSettings(BaseModel):
    """Of hung runs, and of memory."""

    max_hang_s: float = Field(
        30.0,
        gt=0,
        le=86_400,
        description="a run of a graph that takes longer is ended, and its model quarantined",
    )
    quarantine_s: float = Field(
        60.0,
        gt=0,
        le=3_600,
        description="a quarantined model gets nothing to run this long; each time twice as long",
    )
    max_graph_bytes: int | None = Field(
        None,
        ge=1 << 20,
        le=1 << 50,
        description="memory for weights and runs of all graphs, of each worker; default: three "
        "quarters of its share of what the container or the machine has",
    )
