"""How much a scheduler runs and holds at a time."""

from __future__ import annotations

import dataclasses

from service import native


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The settings of the same names."""

    engine_threads: int
    max_batch_size: int
    max_decoding_rows: int
    max_run_ms: float
    chunk_steps: int | None
    max_active_sequences: int
    max_padding_ratio: float
    max_queue_size: int
    max_queue_cells: int
    calibration_ms: float
    max_models: int = 256
    max_models_bytes: int = 16 << 30

    def of_decoders(self) -> Bounds:
        """The same, with as many rows as a decoder runs at a time."""
        return dataclasses.replace(self, max_batch_size=self.max_decoding_rows)

    def native(self) -> native.Bounds:
        """The same, for `native/schedule/`."""
        return native.Bounds(
            engine_threads=self.engine_threads,
            max_batch_size=self.max_batch_size,
            max_run_s=self.max_run_ms / 1_000,
            chunk_steps=self.chunk_steps or 0,
            max_active_sequences=self.max_active_sequences,
            max_padding_ratio=self.max_padding_ratio,
            max_queue_size=self.max_queue_size,
            max_queue_cells=self.max_queue_cells,
        )
