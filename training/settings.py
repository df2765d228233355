"""What decides a run's result, and whether that is still what it was."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from typing import Any

from training.data.digest import digest_of
from training.task import Data, Run
from training.tasks import TASKS

LIBRARIES = ("torch", "numpy", "accelerate", "scikit-learn")

Files = Mapping[str, str]
"""Where a user's parts of a data set are, by the part; for words alone."""


class ChangedError(ValueError):
    """Raised when something is to go on with other data or settings than it began with."""


def settings_of(run: Run, data: Data) -> dict[str, Any]:
    """All that decides the result of a run, as JSON holds it.

    `data` has a digest of each part's contents, `libraries` the versions that compute it.
    """
    task = TASKS[run.task]
    settings = {
        **dataclasses.asdict(run),
        **task.settings(data),
        "data": {name: digest_of(part) for name, part in task.parts(data).items()},
        "libraries": libraries(),
    }
    restored: dict[str, Any] = json.loads(json.dumps(settings))
    return restored


def libraries() -> dict[str, str]:
    """The versions of what computes."""
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **versions}


def refuse_changes(
    was: dict[str, Any], now: dict[str, Any], what: str, advice: str, files: Files
) -> None:
    """Let nothing go on with what it did not begin with.

    Args:
        was: Settings at the beginning.
        now: Settings now; of both, what is to be the same.
        what: Is to go on, such as "the run in runs/a/seed-0".
        advice: What to do instead.
        files: To name what has changed as the user does.
    Raises:
        ChangedError: Something differs: says what.
    """
    parts, known = now["data"], was.get("data", {})
    if changed := [name for name in parts if known.get(name) != parts[name]]:
        names = [files.get(name, f"the {name} part") for name in changed]
        listed = " and ".join(dict.fromkeys(names))
        raise ChangedError(f"{what} began with other data: {listed} changed since. {advice}")
    if differences := _differences(was, now):
        raise ChangedError(f"{what} has other settings: {'; '.join(differences)}. {advice}")


def _differences(was: Any, now: Any, name: str = "") -> list[str]:
    if isinstance(was, dict) and isinstance(now, dict):
        return [
            difference
            for key in sorted(was.keys() | now.keys())
            for difference in _differences(was.get(key), now.get(key), f"{name}.{key}".strip("."))
        ]
    return [] if was == now else [f"{name} was {was}, now {now}"]
