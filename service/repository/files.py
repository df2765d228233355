"""Where the files of a model are, and whether they are others than before."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

from service.errors import BundleError
from service.manifest import GRAPH_FILE
from service.reading import read_regular, read_through, waiting
from service.repository.layout import no_graph, versions_in
from service.repository.policy import CONFIG_FILE, ServingConfig, read_config
from service.temporary import HeldFolder

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
    upload: HeldFolder | None = None

    def config(self) -> ServingConfig:
        """What is to serve.

        Raises:
            BundleError: `serving.json` is not as it should be.
        """
        return read_config(self.folder) if self.given is None else self.given

    @property
    def has_config(self) -> bool:
        """Whether the folder itself says what is to serve."""
        with waiting(f"looking at {CONFIG_FILE}"):
            return self.given is None and (self.folder / CONFIG_FILE).exists()

    def versions(self) -> dict[str, Stamp]:
        """The versions that are there, lowest first, and what of their files would change.

        Raises:
            OSError: The folder can't be read; one that is gone has none.
        """
        with waiting(f"looking at {self.folder.name}"):
            return {name: _stamp(self.folder / name) for name in versions_in(self.folder)}

    def stamp(self) -> ModelStamp:
        """What changes when anything does that decides what serves.

        Raises:
            OSError: The folder can't be read.
        """
        return _stamped(self.folder / CONFIG_FILE), self.versions()

    def discard(self) -> None:
        """Remove the files, if a request brought them."""
        if self.upload is not None:
            self.upload.cleanup()


def _stamp(folder: Path) -> Stamp:
    """Of every file in a folder; what can't be read of it is for who loads it to tell."""
    paths = (Path(at, name) for at, _, names in os.walk(folder) for name in names)
    return tuple(part for path in sorted(paths) for part in _stamped(path))


def _stamped(path: Path) -> Stamp:
    try:
        with waiting(f"looking at {path.name}"):
            stat = path.stat()
    except FileNotFoundError:
        return ()
    except OSError as error:
        return ((str(path), -1, error.errno or 0),)
    return ((str(path), stat.st_size, stat.st_mtime_ns),)


def check_files(folder: Path) -> None:
    """Refuse a version that has no graph, or has files outside of its folder, by links.

    Raises:
        BundleError: It is so.
        OSError: One of its files can't be read.
    """
    root = folder.resolve()  # which may itself be linked to, as a copy of a remote one is
    for path in folder.iterdir():
        if not path.resolve().is_relative_to(root):
            raise BundleError(f"{path.name} is a link out of the model's folder")
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise BundleError(f"{path.name} is neither a file nor a folder")  # opening may block
        if path.is_file():
            read_through(path)  # onnxruntime would not say which, nor that it is for now
    if fault := no_graph(folder):
        raise BundleError(fault)


def sha256_of(folder: Path) -> str:
    """Identifies the graph of a folder without manifest: its bytes, and what lies beside it."""
    digest = hashlib.sha256(read_regular(folder / GRAPH_FILE))
    for path in sorted(folder.iterdir()):
        status = path.stat()
        digest.update(repr((path.name, status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()
