"""Where the files of a model are, and whether they are others than before."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from service.repository.policy import CONFIG_FILE, ServingConfig, read_config

Stamp = tuple[tuple[str, int, int], ...]
"""Of some files: path, size in bytes and time of change in nanoseconds of each."""

ModelStamp = tuple[Stamp, dict[str, Stamp]]
"""Of `serving.json`, and of each version."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A model's folder, `<model>/<version>/`.

    Args:
        folder: The model's.
        given: A configuration to use in place of the folder's own.
        upload: Holds the folder, where a request brought it; it goes when this does.
    """

    folder: Path
    given: ServingConfig | None = None
    upload: TemporaryDirectory[str] | None = None

    def config(self) -> ServingConfig:
        """What is to serve.

        Raises:
            BundleError: `serving.json` is not as it should be.
        """
        return read_config(self.folder) if self.given is None else self.given

    def versions(self) -> dict[str, Stamp]:
        """The versions that are there, lowest first, and what of their files would change."""
        found = [path.name for path in _inside(self.folder) if _is_version(path)]
        return {name: _stamp(self.folder / name) for name in sorted(found, key=int)}

    def stamp(self) -> ModelStamp:
        """What changes when anything does that decides what serves."""
        return _stamped(self.folder / CONFIG_FILE), self.versions()

    def discard(self) -> None:
        """Remove the files, if a request brought them."""
        if self.upload is not None:
            self.upload.cleanup()


def models_in(folder: Path) -> list[str]:
    """The names of a repository's models: its folders with a version in them."""
    return sorted(
        model.name for model in _inside(folder) if any(_is_version(each) for each in _inside(model))
    )


def _is_version(path: Path) -> bool:
    return path.name.isascii() and path.name.isdigit() and path.is_dir()


def _inside(folder: Path) -> Iterator[Path]:
    """What is in a folder; nothing if it is none, or gone."""
    try:
        yield from sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return


def _stamp(folder: Path) -> Stamp:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return tuple(part for path in files for part in _stamped(path))


def _stamped(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ()
    return ((str(path), stat.st_size, stat.st_mtime_ns),)
