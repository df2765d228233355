"""A bundle's recipe: one file that says what to train, on what, and how.

    task = "classification"
    family = "gru"
    seeds = [0, 1, 2]            # the one with the best validation score becomes the bundle

    [data]                       # what the task's loader takes
    dataset = "fsdd"

    [architecture]               # sizes; the family's own where none is given
    hidden_size = 96

    [fit]                        # how to train; the task's own where nothing is given
    steps = 1200

    [augment]                    # what may change in an example, if the task knows such changes

    [also.left_out_speaker]      # other data to train the first seed on: its scores stand beside
    split = "speaker"

The bundle is named after the file. The same in JSON does too.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from service.reasons import why_not
from service.tasks.settings import TaskName
from training.card import check_name
from training.data.frames.augment import Augmentation
from training.task import Data, Run
from training.tasks import TASKS

RECIPES = Path(__file__).parent / "recipes"


class RecipeFile(BaseModel):
    """What a recipe's file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(check_name)] = Field(
        description="of the bundle; of the file, unless it says another"
    )
    task: TaskName
    family: str
    seeds: list[NonNegativeInt] = Field(default=[0], min_length=1)
    data: dict[str, Any] = Field(default_factory=dict)
    architecture: dict[str, Any] = Field(default_factory=dict)
    fit: dict[str, Any] = Field(default_factory=dict)
    augment: dict[str, float] = Field(default_factory=dict)
    also: dict[str, dict[str, Any]] = Field(default_factory=dict)

    def load(self, also: str | None = None) -> Data:
        """The data set; or another that the file names.

        Raises:
            ValueError: It can't be loaded.
        """
        changes = self.also[also] if also else {}
        try:
            return TASKS[self.task].load(**(self.data | changes))  # type: ignore[no-any-return]
        except ValidationError as error:
            raise ValueError(f"[data]: {why_not(error)}") from error
        except TypeError as error:
            raise ValueError(f"[data]: {error}") from error

    @property
    def files(self) -> dict[str, str]:
        """The user's own files, by the part of the data that is read from them."""
        keys = {"train": "train", "validation": "valid", "test": "test", "series": "file"}
        return {part: str(self.data[key]) for part, key in keys.items() if self.data.get(key)}

    def on_files(
        self, name: str, train: str, test: str, valid: str | None, **options: Any
    ) -> RecipeFile:
        """This recipe for a user's own files, as a bundle of this name.

        How many steps to train is the task's own choice: the recipe's is for its data.

        Args:
            name: Of the bundle.
            train: To learn from.
            test: To score.
            valid: To validate on; a share of the training part if None.
            options: Other keys of `[data]`, such as the files' encoding.
        Raises:
            ValueError: No bundle can have this name, or the task reads no such files.
        """
        check_name(name)
        task = TASKS[self.task]
        files = {"train": train, "test": test} | ({"valid": valid} if valid else {})
        known = inspect.signature(task.load).parameters
        if missing := [f"--{key}" for key in files if key not in known]:
            raise ValueError(f"{self.task} takes no {' or '.join(missing)}: write a recipe")
        kept = {key: value for key, value in self.data.items() if key in task.own_options}
        fit = {key: value for key, value in self.fit.items() if key != "steps"}
        data = kept | files | options
        return self.model_copy(update={"name": name, "data": data, "fit": fit, "also": {}})

    def run(self, data: Data, seed: int, also: str | None = None) -> Run:
        """The run of one seed on this data set.

        Raises:
            ValueError: A table has a key or a value that the task does not take.
        """
        task = TASKS[self.task]
        recipe = task.default_recipe(self.family, data)
        try:
            if self.augment:
                augmentation = Augmentation(**self.augment)
                recipe = dataclasses.replace(recipe, augmentation=augmentation)
            recipe = dataclasses.replace(recipe, **self.fit)
            architecture = task.default_architecture(self.family, data, **self.architecture)
        except TypeError as error:
            raise ValueError(f"[fit], [augment] or [architecture]: {error}") from error
        name = f"{self.name}-{also.replace('_', '-')}" if also else self.name
        return Run(name, self.task, architecture, recipe, seed)


def read_recipe(name: str, folder: Path = RECIPES) -> RecipeFile:
    """A bundle's recipe, by the bundle's name or by the file's path.

    Raises:
        ValueError: There is none, or it is not as it should be: names the file and the key.
    """
    path = Path(name) if name.endswith((".toml", ".json")) else folder / f"{name}.toml"
    try:
        text = path.read_text("utf-8-sig")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return RecipeFile.model_validate({"name": path.stem} | document)
    except OSError as error:
        known = ", ".join(sorted(each.stem for each in folder.glob("*.toml")))
        raise ValueError(f"no recipe {path}; there are {known}") from error
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not {path.suffix[1:].upper()}: {error}") from error
    except ValidationError as error:
        raise ValueError(f"{path}: {why_not(error, RecipeFile)}") from error


def all_recipes(folder: Path = RECIPES) -> list[str]:
    """The bundles that have a recipe."""
    return sorted(path.stem for path in folder.glob("*.toml"))
