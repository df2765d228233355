"""What a bundle's profile lacks, as one made by an earlier version, out of its training data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from accelerate.utils import set_seed

from service.manifest import MANIFEST_FILE, Manifest, Profile, read_manifest
from training.recipe_file import read_recipe
from training.tasks import TASKS

TOLERANCE = 1e-3  # of the deviations


def profile_bundle(folder: Path) -> Manifest:
    """Add to a bundle's profile how values are spread, by its recipe, in the manifest.

    The graph stays as it is; a signature of the bundle holds no more.

    Args:
        folder: Of one version, such as `repository/digits-lstm/1`.
    Raises:
        ValueError: There is no such recipe, or the data are not those that the bundle learnt from.
    """
    manifest = read_manifest(folder)
    recipe = read_recipe(manifest.name)
    data = recipe.load()
    run = recipe.run(data, manifest.provenance.seed)
    set_seed(run.seed)
    task = TASKS[run.task]
    _, objective = task.begin(run, data)
    found = task.profile(data, objective)
    _check_the_same(manifest.profile, found)
    added = found.model_dump(include={"length_bins", "feature_bins", "feature_ranges"})
    profile = Profile.model_validate(manifest.profile.model_dump() | added)
    manifest = manifest.model_copy(update={"profile": profile})
    path = folder / MANIFEST_FILE
    partial = folder / f".{MANIFEST_FILE}"
    partial.write_text(manifest.model_dump_json(indent=2) + "\n")
    partial.replace(path)
    return manifest


def _check_the_same(was: Profile, now: Profile) -> None:
    """Refuse data that the bundle did not learn from."""
    deviations = np.array(was.feature_deviations)
    same = was.length_quantiles == now.length_quantiles and np.allclose(
        np.array(was.feature_means) / deviations,
        np.array(now.feature_means) / deviations,
        atol=TOLERANCE,
    )
    if not same:
        raise ValueError("these data have other lengths or means than the bundle's profile")
