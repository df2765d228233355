"""What an engine's threads run, noted where it outlives the process: for who finds that dead."""

from __future__ import annotations

import json
import mmap
import struct
from pathlib import Path
from typing import NamedTuple

from service import native

SLOT_BYTES = 8


class Running(NamedTuple):
    """A model of which a run was being made."""

    name: str
    version: str


class Board:
    """A slot a thread, with the number of the model that it runs; 0: none. It costs two stores a
    run.

    Args:
        folder: That all workers share.
        worker: This one's index; what stood there of the one before it is forgotten.
        num_threads: Of the engine.

    Raises:
        OSError: There is no room.
    """

    def __init__(self, folder: Path, worker: int, num_threads: int) -> None:
        self._models = _models_file(folder, worker).open("w")
        with _slots_file(folder, worker).open("wb+") as file:
            file.truncate(SLOT_BYTES * num_threads)
            self._slots = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        self._numbers: dict[native.Scheduler, int] = {}
        self._last = 0

    def add(self, core: native.Scheduler, model: Running) -> None:
        """Have this model a number."""
        self._last += 1
        self._models.write(json.dumps(model) + "\n")
        self._models.flush()
        self._numbers[core] = self._last

    def remove(self, core: native.Scheduler) -> None:
        """Forget a model that does not run any more."""
        del self._numbers[core]

    def begin(self, thread: int, core: native.Scheduler) -> None:
        """A thread begins a run of this model."""
        self._slots[thread] = self._numbers[core]

    def end(self, thread: int) -> None:
        """It is through with it."""
        self._slots[thread] = 0


def read_board(folder: Path, worker: int) -> set[Running]:
    """What a worker that is dead was running; nothing if it had not come so far."""
    try:
        slots = _slots_file(folder, worker).read_bytes()
        models = _models_file(folder, worker).read_text().splitlines()
    except FileNotFoundError:
        return set()
    numbers = {number for (number,) in struct.iter_unpack("q", slots) if number}
    return {Running(*json.loads(models[number - 1])) for number in numbers}


def _slots_file(folder: Path, worker: int) -> Path:
    return folder / f"running-{worker}"


def _models_file(folder: Path, worker: int) -> Path:
    return folder / f"models-{worker}"
