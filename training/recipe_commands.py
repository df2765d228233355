"""The commands of `python -m training` that go by recipes: bundles, run, compare, search."""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from threadpoolctl import threadpool_limits

from models import FAMILIES
from training.campaign import train_bundles
from training.compare import TABLE_FILE, compare, families_of
from training.export.lint import ExportError
from training.recipe_file import all_recipes, read_recipe
from training.run import train_run
from training.search import search

AGAIN = "the same command goes on from the last checkpoint"
RESUME = f"{AGAIN}, with --resume"


def add_recipe_commands(commands: Any, repository: Path) -> None:
    """Add them to the others, with their options.

    Args:
        commands: argparse's, of the program.
        repository: Where bundles go unless it is said.
    """
    bundles = commands.add_parser("bundles", help="train and export bundles by their recipes")
    bundles.add_argument("names", nargs="*", help="recipes, or their files; all of them if none")
    bundles.add_argument("--run-dir", type=Path, default=Path("runs"))
    bundles.add_argument("--repository", type=Path, default=repository)
    bundles.add_argument("--jobs", type=int, default=2, help="runs at once (default 2)")
    own = bundles.add_argument_group("your own files, with all else as one recipe says")
    own.add_argument("--name", help="of the bundle")
    own.add_argument("--train", help="file to learn from, in the format of the recipe's task")
    own.add_argument("--valid", help="file that decides when to stop; else a share of --train")
    own.add_argument("--test", help="file to score, once")
    own.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another key of the recipe's [data], such as encoding=cp1252; may be repeated",
    )
    bundles.set_defaults(run=lambda options: _bundles(bundles, options), advice=AGAIN)

    one = commands.add_parser("run", help="train one seed of a recipe, and export nothing")
    one.add_argument("name", help="of the recipe, or its file")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--also", help="on other data that the recipe names")
    one.add_argument("--run-dir", type=Path, default=Path("runs"))
    one.add_argument("--resume", action="store_true", help="go on with a run that was killed")
    one.set_defaults(run=lambda options: _run(one, options), advice=RESUME)

    side = commands.add_parser("compare", help="train families side by side on a recipe's data")
    side.add_argument("name", help="of the recipe, or its file")
    side.add_argument(
        "--families", nargs="+", choices=list(FAMILIES), help="default: all that the task has"
    )
    side.add_argument("--seeds", type=int, default=3, help="of each family (default 3)")
    side.add_argument("--folder", type=Path, default=Path("runs/compare"))
    side.add_argument("--jobs", type=int, default=2, help="runs at once (default 2)")
    side.set_defaults(run=lambda options: _compare(side, options), advice=AGAIN)

    near = commands.add_parser("search", help="look for better settings of a recipe")
    near.add_argument("name", help="of the recipe, or its file")
    near.add_argument("--trials", type=int, default=20, help="to add (default 20)")
    near.add_argument("--folder", type=Path, default=Path("runs/search"))
    near.set_defaults(
        run=lambda options: _search(near, options), advice="the same command adds trials to these"
    )


def _bundles(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    try:
        own = (options.name, options.train, options.test)
        names = [_on_own_files(options)] if any(own) else options.names or all_recipes()
        train_bundles(names, options.run_dir, options.repository, options.jobs)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    except ExportError as error:
        sys.exit(f"not exported: {error}")


def _on_own_files(options: argparse.Namespace) -> str:
    """The file of a recipe for the user's files."""
    if not (options.name and options.train and options.test and len(options.names) == 1):
        raise ValueError("own files need one recipe, --name, --train and --test")
    recipe = read_recipe(options.names[0])
    files = (options.train, options.test, options.valid)
    recipe = recipe.on_files(options.name, *files, **dict(map(_key_and_value, options.data)))
    options.run_dir.mkdir(parents=True, exist_ok=True)
    path: Path = options.run_dir / f"{recipe.name}.json"
    path.write_text(recipe.model_dump_json(indent=1) + "\n")
    return str(path)


def _key_and_value(text: str) -> tuple[str, Any]:
    """A key of `[data]` and its value, which is a string unless TOML reads it as something else."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"argument --data: {text!r} is not KEY=VALUE")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def _compare(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.seeds < 1:
        parser.error(f"argument --seeds: {options.seeds} is not above 0")
    try:
        recipe = read_recipe(options.name)
        families = options.families or families_of(recipe)
        compare(recipe, families, options.seeds, options.folder, options.jobs)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    except ExportError as error:
        sys.exit(f"not exported: {error}")
    print((options.folder / TABLE_FILE).read_text())


def _search(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.trials < 1:
        parser.error(f"argument --trials: {options.trials} is not above 0")
    try:
        recipe = read_recipe(options.name)
        found = search(recipe, options.trials, options.folder / recipe.name)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(f"{options.folder / recipe.name / recipe.name}.json: {found.architecture} {found.fit}")


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    threadpool_limits(1)
    try:
        recipe = read_recipe(options.name)
        if options.also is not None and options.also not in recipe.also:
            parser.error(f"argument --also: {options.name} names {', '.join(recipe.also)}")
        data = recipe.load(options.also)
        run = recipe.run(data, options.seed, options.also)
        folder = options.run_dir / run.name / f"seed-{run.seed}"
        files = {} if options.also else recipe.files
        metrics = train_run(run, data, folder, resume=options.resume, files=files)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if PartialState().is_main_process:
        print(summary_of(metrics, folder))


def summary_of(metrics: dict[str, Any], folder: Path) -> str:
    """What a run reached, in a line; and in another if something simpler reaches as much."""
    metric = metrics["metric"]
    baselines = ", ".join(f"{name} {score:.4f}" for name, score in metrics["baselines"].items())
    reached = (
        f"{metrics['name']} seed {metrics['seed']}: test {metric.replace('_', ' ')} "
        f"{metrics['test'][metric]:.4f} of {metrics['sequences']['test']} sequences, "
        f"validation {metrics['validation'][metric]:.4f}, {baselines}; "
        f"{metrics['steps']} steps, {metrics['cpu_s']:.0f} s of CPU; {folder}"
    )
    if not (better := metrics["beaten_by"]):
        return reached
    return (
        f"{reached}\nWARNING: {metrics['name']} seed {metrics['seed']} is no better than "
        f"{' or '.join(better)}: try another family, more data or other settings before serving it"
    )
