"""How many models serve at a time, and how large they are."""

from __future__ import annotations

from pathlib import Path

from service.errors import BundleError
from service.schedulers.bounds import Bounds

Version = tuple[str, str]
"""A model's name and a number."""


class Room:
    """What is left of `max_models` and `max_models_bytes`; for the repository's thread alone.

    Args:
        bounds: Has both.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._held: dict[Version, list[int]] = {}  # bytes, the latest last

    def take(self, folder: Path) -> int:
        """Make room for a version that is about to be loaded; its bytes.

        What serves by its number is not counted, as it goes: for a moment there are both.

        Raises:
            BundleError: There is no room; the setting is named.
        """
        bounds, version = self._bounds, version_of(folder)
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        others = [sizes[-1] for each, sizes in self._held.items() if each != version]
        if len(others) >= bounds.max_models:
            raise BundleError(f"max_models is {bounds.max_models}, and so many versions serve")
        if sum(others) + size > bounds.max_models_bytes:
            raise BundleError(
                f"max_models_bytes is {bounds.max_models_bytes}: the files of this version have "
                f"{size} bytes, with those that serve {sum(others) + size}"
            )
        self._held.setdefault(version, []).append(size)
        return size

    def give(self, version: Version, size: int) -> None:
        """A version is gone, or was not loaded."""
        self._held[version].remove(size)
        if not self._held[version]:
            del self._held[version]


def version_of(folder: Path) -> Version:
    """Which version's this folder is."""
    return folder.parent.name, folder.name
