"""What lies in a repository's folder: models, what is no model as it lies there, and what to do.

A model is `<model>/<version>/model.onnx`, the version a number. Whoever lays a graph elsewhere, or
brings another format, would else see a server that serves nothing and does not say why.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from service.errors import StandsStillError
from service.manifest import GRAPH_FILE
from service.reading import waiting
from service.reasons import why

T = TypeVar("T")
VERSION = re.compile(r"[1-9][0-9]{0,9}")
LIKE_A_VERSION = re.compile(r"(?:v|ver|version|release)?[-_. ]?0*(\d+)(?:[._-]\d+)*", re.IGNORECASE)
NO_MODELS = ("lost+found",)
"""Folders of a file system's own; hidden ones are none of ours either."""

FORMATS = {
    ".pt": "PyTorch's", ".pth": "PyTorch's", ".pt2": "PyTorch's", ".ckpt": "a checkpoint",
    ".safetensors": "weights alone", ".bin": "weights alone", ".gguf": "llama.cpp's",
    ".keras": "Keras's", ".h5": "Keras's", ".hdf5": "Keras's", ".pb": "TensorFlow's",
    ".tflite": "TensorFlow Lite's", ".pkl": "a pickle", ".pickle": "a pickle",
    ".joblib": "a pickle", ".mlmodel": "Core ML's", ".plan": "TensorRT's",
    ".engine": "TensorRT's", ".pmml": "PMML", ".mar": "TorchServe's", ".nemo": "NeMo's",
}  # fmt: skip
EXPORT = f"only ONNX serves: export the model to {GRAPH_FILE} (docs/any-onnx.md shows how)"


class Layout(NamedTuple):
    """What was found.

    Args:
        models: Names of folders with a version in them.
        unreadable: Why not, by the name of what can't be looked at; it may be a model.
        misplaced: What to do, by the name of what looks like a model but lies in another way.
        fault: What to do about the folder as a whole, if there is no model in it.
    """

    models: list[str]
    unreadable: dict[str, str]
    misplaced: dict[str, str]
    fault: str = ""


Look = Callable[[str, Callable[[], T]], T]
"""Makes a look at something, by its name."""


def look_at_once(_: str, function: Callable[[], T]) -> T:
    """Whatever time it takes."""
    return function()


def look_into(folder: Path, look: Look[Any] = look_at_once) -> Layout:
    """Look at a repository's folder; at what is in it as far as that can be read.

    Args:
        folder: Of the repository.
        look: Makes each look, at the folder by an empty name and at each entry by its own.

    Raises:
        StandsStillError: As `look` does for the folder itself.
        OSError: The folder itself can't be listed.
    """
    models: list[str] = []
    unreadable: dict[str, str] = {}
    misplaced: dict[str, str] = {}
    for path in look("", partial(entries_of, folder)):
        if (shown := printable(path.name)) != path.name:
            misplaced[shown] = "its name is no UTF-8: give it another"
            continue
        try:
            is_model, fault = look(path.name, partial(_seen_of, path))
            if is_model:
                models.append(path.name)
            if fault:
                misplaced[path.name] = fault
        except FileNotFoundError:  # it went while it was looked at
            continue
        except OSError as error:
            unreadable[path.name] = why(error)
        except StandsStillError as error:
            unreadable[path.name] = error.message
    if models or unreadable:
        return Layout(models, unreadable, misplaced)
    fault = look("", partial(_fault_of_all, folder))
    return Layout([], {}, {} if fault else misplaced, fault or _nothing_in(folder, misplaced))


def _seen_of(path: Path) -> tuple[bool, str]:
    """Whether an entry is a model, and what to do about it."""
    with waiting(f"looking at {path.name}"):
        return bool(versions_in(path)), _fault_of(path)


def printable(name: str) -> str:
    """A file's name as text; of bytes that are no UTF-8, what they are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def entries_of(folder: Path) -> list[Path]:
    """What is in a folder and may be meant for us, by name.

    Raises:
        OSError: It can't be listed.
    """
    with waiting(f"looking at {folder.name}"):
        paths = sorted(folder.iterdir())
    return [path for path in paths if not path.name.startswith(".") and path.name not in NO_MODELS]


def versions_in(model: Path) -> list[str]:
    """The versions of a model's folder, lowest first; none if it is no folder, or gone.

    Raises:
        OSError: It can't be listed.
    """
    try:
        found = [path.name for path in entries_of(model) if is_version(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=int)


def is_version(path: Path) -> bool:
    """Whether it is the folder of a version, as far as its name says."""
    return VERSION.fullmatch(path.name) is not None and is_folder(path)


def is_folder(path: Path) -> bool:
    """Whether it is one; a link is what it leads to.

    Raises:
        OSError: That can't be found out: unlike `Path.is_dir`, which guesses in some releases.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return False


def no_graph(version: Path) -> str:
    """What to do about a version's folder that has no `model.onnx`; empty if it has one."""
    files = entries_of(version)
    if any(path.name == GRAPH_FILE for path in files):
        return ""
    graphs = [path.name for path in files if path.suffix.lower() == ".onnx"]
    if len(graphs) == 1:
        return f"there is no {GRAPH_FILE}: rename {graphs[0]} to {GRAPH_FILE}"
    if graphs:
        return f"there is no {GRAPH_FILE}: one of {', '.join(graphs)} must be called so"
    for path in files:
        if is_folder(path) and (path / GRAPH_FILE).is_file():
            return f"{path.name}/{GRAPH_FILE} lies one folder too deep: move it up, beside it"
    if foreign := _foreign(files):
        return f"there is no {GRAPH_FILE}, but {foreign}"
    there = ", ".join(path.name for path in files[:5])
    return f"there is no {GRAPH_FILE}" + (f", only {there}" if there else ": the folder is empty")


def _fault_of(path: Path) -> str:
    """What to do about an entry of the repository; nothing if it is a model, or something else."""
    if is_folder(path):
        return _fault_of_folder(path)
    if path.is_symlink() and not path.exists():
        return f"it is a link to {path.readlink()}, which is not there"
    if path.suffix.lower() == ".onnx":
        return f"a graph lies in folders of its model and version: move it to {_place(path.stem)}"
    foreign = _foreign([path])
    return f"{foreign}, at {_place(path.stem)}" if foreign else ""


def _place(model: str) -> str:
    return f"{model}/1/{GRAPH_FILE}"


def _fault_of_folder(model: Path) -> str:
    name, entries = model.name, entries_of(model)
    versions = [path.name for path in entries if is_version(path)]
    folders = [path for path in entries if path.name not in versions and is_folder(path)]
    for path in folders:
        like = LIKE_A_VERSION.fullmatch(path.name)
        if _has_graph(path) and (like or not versions):
            number = _free_number(int(like[1]) if like else 1, versions)
            return f"{name}/{path.name} is no version, which is a number: rename it to {number}"
    if versions:
        return ""
    if graphs := [path.name for path in entries if path.suffix.lower() == ".onnx"]:
        return f"a graph lies in a folder of its version: move {name}/{graphs[0]} to {_place(name)}"
    if foreign := _foreign(entries):
        return f"{foreign}, at {_place(name)}"
    for path in entries:
        if VERSION.fullmatch(path.name):
            return f"{name}/{path.name} is a file: a version is a folder with {GRAPH_FILE} in it"
    if models := [path.name for path in folders if any(map(_has_graph, _versions_of(path)))]:
        return (
            f"it is a repository of its own, with the model {models[0]}: serve it by "
            f"--repository {model}, or move its models one folder up"
        )
    return ""


def _fault_of_all(folder: Path) -> str:
    """What the folder is, if it is no repository but a part of one."""
    at = folder.absolute()
    if VERSION.fullmatch(at.name) and (folder / GRAPH_FILE).is_file():
        return f"it is one version of the model {at.parent.name}: give --repository {at.parents[1]}"
    if any(map(_has_graph, _versions_of(folder))):
        return f"it is the folder of one model, {at.name}: give the one above, {at.parent}"
    return ""


def _nothing_in(folder: Path, misplaced: dict[str, str]) -> str:
    if misplaced:
        return "there is no model in it as one must lie: <name>/<version>/" + GRAPH_FILE
    return f"there is no model in it: a graph belongs at {folder.absolute()}/{_place('<name>')}"


def _versions_of(path: Path) -> list[Path]:
    return [path / name for name in versions_in(path)]


def _has_graph(folder: Path) -> bool:
    return any(path.suffix.lower() == ".onnx" for path in entries_of(folder))


def _free_number(wanted: int, versions: Iterable[str]) -> int:
    taken = {int(version) for version in versions}
    return wanted if wanted > 0 and wanted not in taken else max(taken, default=0) + 1


def _foreign(paths: Iterable[Path]) -> str:
    """What is said of the first model of another format among these."""
    for path in paths:
        whose = "TensorFlow's" if path.name == "saved_model" else FORMATS.get(path.suffix.lower())
        if whose:
            return f"{path.name} is {whose}: {EXPORT}"
    return ""
