"""How much a scheduler runs and holds at a time."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The settings of the same names."""

    engine_threads: int
    max_batch_size: int
    max_run_ms: float
    chunk_steps: int | None
    max_active_sequences: int
    max_padding_ratio: float
    max_queue_size: int
    max_queue_cells: int
    calibration_ms: float

    @property
    def max_run_s(self) -> float:
        """What one run may take, where the batch can be made smaller."""
        return self.max_run_ms / 1_000
