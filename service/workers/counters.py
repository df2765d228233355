"""The folder that workers count in."""

from __future__ import annotations

import os
from pathlib import Path

from service.temporary import HeldFolder, remove_abandoned

PREFIX = "seqserve-counters-"
SHARED_MEMORY = Path("/dev/shm")


def make_folder() -> HeldFolder:
    """An empty one, in memory if there can be one; what killed servers left there goes.

    Raises:
        OSError: There is no place for it.
    """
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    remove_abandoned(PREFIX, parent)
    return HeldFolder(PREFIX, parent)
