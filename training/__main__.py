"""`python -m training`: train, export, quantise and sign one model, or all; README's table.

python -m training train --dataset fsdd --family lstm --seed 0
python -m training train --train A_TRAIN.ts --test A_TEST.ts --name gestures
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from threadpoolctl import threadpool_limits

from models import FAMILIES
from service.errors import BundleError
from training.campaign import train_bundles
from training.compare import TABLE_FILE, compare, families_of
from training.data.frames.dataset import Dataset
from training.export.bundle import export_run
from training.export.lint import ExportError
from training.export.variant import add_variant, describe, evidence_of
from training.long_range.problems import PROBLEMS
from training.long_range.report import GRADIENTS_FILE, RESULTS_FILE, draw_gradients
from training.long_range.report import run as run_long_range
from training.options import (
    add_data_options,
    add_train_options,
    read_data_options,
    read_train_options,
)
from training.profiling import profile_bundle
from training.recipe_file import all_recipes, read_recipe
from training.run import finished_metrics, train_run
from training.search import search
from training.signing import make_keys, read_key, sign_bundle
from training.table import tables_are_current, write_tables

REPOSITORY = Path("repository")
LATENCIES = Path("benchmarks/results/families.json")


def main(arguments: list[str] | None = None) -> None:
    """Run one command; wrong arguments end it with status 2 and the option's name."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    options.run(options)


def make_parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    parser = argparse.ArgumentParser(prog="python -m training")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train one model and make a bundle of it")
    add_train_options(train)
    train.add_argument("--run-dir", type=Path, default=Path("runs"))
    train.add_argument("--resume", action="store_true", help="go on with a run that was killed")
    train.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    train.add_argument("--no-export", action="store_true", help="make no bundle")
    _add_repository(train)
    train.set_defaults(run=lambda options: _train(train, options))

    export = commands.add_parser("export", help="make a bundle of a finished run")
    export.add_argument("run_folder", type=Path)
    _add_repository(export)
    export.add_argument("--replace", action="store_true", help="an existing version")
    add_data_options(export, "; with them, the bundle's int8 variant is made too")
    export.set_defaults(run=lambda options: _export_finished(export, options))

    quantize = commands.add_parser("quantize", help="give a bundle its int8 variant, or the reason")
    quantize.add_argument("bundle", type=Path, help="its folder, such as repository/digits-lstm/1")
    add_data_options(quantize)
    quantize.set_defaults(run=lambda options: _quantize(quantize, options))

    profile = commands.add_parser(
        "profile", help="add to bundles' profiles what drift needs, by their recipes"
    )
    profile.add_argument(
        "bundles", type=Path, nargs="+", help="folders, as repository/digits-gru/1"
    )
    profile.set_defaults(run=lambda options: _profile(profile, options))

    bundles = commands.add_parser("bundles", help="train and export bundles by their recipes")
    bundles.add_argument("names", nargs="*", help="recipes, or their files; all of them if none")
    bundles.add_argument("--run-dir", type=Path, default=Path("runs"))
    bundles.add_argument("--repository", type=Path, default=REPOSITORY)
    bundles.add_argument("--jobs", type=int, default=2, help="runs at once (default 2)")
    own = bundles.add_argument_group("your own files, with all else as one recipe says")
    own.add_argument("--name", help="of the bundle")
    own.add_argument("--train", help="file to learn from, in the format of the recipe's task")
    own.add_argument("--valid", help="file that decides when to stop; else a share of --train")
    own.add_argument("--test", help="file to score, once")
    bundles.set_defaults(run=lambda options: _bundles(bundles, options))

    one = commands.add_parser("run", help="train one seed of a recipe, and export nothing")
    one.add_argument("name", help="of the recipe, or its file")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--also", help="on other data that the recipe names")
    one.add_argument("--run-dir", type=Path, default=Path("runs"))
    one.add_argument("--resume", action="store_true", help="go on with a run that was killed")
    one.set_defaults(run=lambda options: _run(one, options))

    side = commands.add_parser("compare", help="train families side by side on a recipe's data")
    side.add_argument("name", help="of the recipe, or its file")
    side.add_argument(
        "--families", nargs="+", choices=list(FAMILIES), help="default: all that the task has"
    )
    side.add_argument("--seeds", type=int, default=3, help="of each family (default 3)")
    side.add_argument("--folder", type=Path, default=Path("runs/compare"))
    side.add_argument("--jobs", type=int, default=2, help="runs at once (default 2)")
    side.set_defaults(run=lambda options: _compare(side, options))

    near = commands.add_parser("search", help="look for better settings of a recipe")
    near.add_argument("name", help="of the recipe, or its file")
    near.add_argument("--trials", type=int, default=20, help="to add (default 20)")
    near.add_argument("--folder", type=Path, default=Path("runs/search"))
    near.set_defaults(run=lambda options: _search(near, options))

    far = commands.add_parser("long-range", help="how far back families learn to look")
    far.add_argument("problem", choices=sorted(PROBLEMS))
    far.add_argument("--lengths", type=int, nargs="+", default=[100], help="T (default 100)")
    far.add_argument("--budget-s", type=float, default=300.0, help="CPU seconds each (300)")
    far.add_argument("--folder", type=Path, default=Path("runs/long-range"))
    far.set_defaults(run=_long_range)

    key = commands.add_parser("key", help="make a pair of keys to sign bundles with")
    key.add_argument("private", type=Path, help="file for the private key; keep it secret")
    key.add_argument("public", type=Path, help="file for the public one, for trusted_keys")
    key.set_defaults(run=_make_keys)

    sign = commands.add_parser("sign", help="sign bundles: servers can tell by whom they are")
    sign.add_argument("--key", type=Path, required=True, help="the private key, ed25519 in PEM")
    sign.add_argument("bundles", type=Path, nargs="+", help="such as repository/digits-lstm/1")
    sign.set_defaults(run=lambda options: _sign(sign, options))

    table = commands.add_parser("table", help="write the tables of README and docs")
    table.add_argument("--repository", type=Path, default=REPOSITORY)
    table.add_argument("--latencies", type=Path, default=LATENCIES, help="of `make bench`")
    table.add_argument("--readme", type=Path, default=Path("README.md"))
    table.add_argument("--docs", type=Path, default=Path("docs"))
    table.add_argument("--check", action="store_true", help="only say whether it is current")
    table.set_defaults(run=lambda options: _table(table, options))
    return parser


def _profile(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    try:
        for folder in options.bundles:
            profile = profile_bundle(folder).profile
            print(f"{folder}: bins of lengths, and of {len(profile.feature_bins)} features")
    except (ValueError, BundleError, OSError) as error:
        parser.error(str(error))


def _add_repository(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", type=Path, default=REPOSITORY, help="where bundles go")
    parser.add_argument("--version", default="1", help="of the bundle (default 1)")


def _train(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.threads < 1:
        parser.error(f"argument --threads: {options.threads} is not above 0")
    torch.set_num_threads(options.threads)
    threadpool_limits(options.threads)  # NumPy's and scikit-learn's
    run, dataset = read_train_options(options, parser.error)
    folder = options.run_dir / run.name / f"seed-{run.seed}"
    try:
        metrics = train_run(run, dataset, folder, resume=options.resume)
    except ValueError as error:
        parser.error(str(error))
    if not PartialState().is_main_process:
        return
    print(_summary(metrics, folder))
    if not options.no_export:
        _add_variant(_export(folder, options, replace=True), dataset)


def _bundles(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    try:
        own = (options.name, options.train, options.test)
        names = [_on_own_files(options)] if any(own) else options.names or all_recipes()
        train_bundles(names, options.run_dir, options.repository, options.jobs)
    except ValueError as error:
        parser.error(str(error))


def _on_own_files(options: argparse.Namespace) -> str:
    """The file of a recipe for the user's files."""
    if not (options.name and options.train and options.test and len(options.names) == 1):
        raise ValueError("own files need one recipe, --name, --train and --test")
    recipe = read_recipe(options.names[0])
    recipe = recipe.on_files(options.name, options.train, options.test, options.valid)
    options.run_dir.mkdir(parents=True, exist_ok=True)
    path: Path = options.run_dir / f"{recipe.name}.json"
    path.write_text(recipe.model_dump_json(indent=1) + "\n")
    return str(path)


def _compare(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.seeds < 1:
        parser.error(f"argument --seeds: {options.seeds} is not above 0")
    try:
        recipe = read_recipe(options.name)
        families = options.families or families_of(recipe)
        compare(recipe, families, options.seeds, options.folder, options.jobs)
    except ValueError as error:
        parser.error(str(error))
    print((options.folder / TABLE_FILE).read_text())


def _search(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.trials < 1:
        parser.error(f"argument --trials: {options.trials} is not above 0")
    try:
        recipe = read_recipe(options.name)
        found = search(recipe, options.trials, options.folder / recipe.name)
    except ValueError as error:
        parser.error(str(error))
    print(f"{options.folder / recipe.name / recipe.name}.json: {found.architecture} {found.fit}")


def _long_range(options: argparse.Namespace) -> None:
    run_long_range(options.problem, options.lengths, options.budget_s, options.folder)
    if options.problem == "adding":
        results, picture = options.folder / RESULTS_FILE, options.folder / GRADIENTS_FILE
        draw_gradients(results, min(options.lengths), picture)


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
        metrics = train_run(run, data, folder, resume=options.resume)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if PartialState().is_main_process:
        print(_summary(metrics, folder))


def _summary(metrics: dict[str, Any], folder: Path) -> str:
    metric = metrics["metric"]
    baselines = ", ".join(f"{name} {score:.4f}" for name, score in metrics["baselines"].items())
    return (
        f"{metrics['name']} seed {metrics['seed']}: test {metric.replace('_', ' ')} "
        f"{metrics['test'][metric]:.4f} of {metrics['sequences']['test']} sequences, "
        f"validation {metrics['validation'][metric]:.4f}, {baselines}; "
        f"{metrics['steps']} steps, {metrics['cpu_s']:.0f} s of CPU; {folder}"
    )


def _export_finished(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if finished_metrics(options.run_folder) is None:
        parser.error(f"argument run_folder: no finished run in {options.run_folder}")
    dataset = None
    if options.dataset or options.train or options.test:
        options.name = options.run_folder.name
        dataset = read_data_options(options, parser.error)
    folder = _export(options.run_folder, options, replace=options.replace)
    if dataset is not None:
        _add_variant(folder, dataset)


def _export(run_folder: Path, options: argparse.Namespace, *, replace: bool) -> Path:
    try:
        folder = export_run(run_folder, options.repository, options.version, replace=replace)
    except ExportError as error:
        sys.exit(f"{run_folder} is not exported: {error}")
    print(folder)
    return folder


def _quantize(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    options.name = options.bundle.absolute().parent.name
    _add_variant(options.bundle.absolute(), read_data_options(options, parser.error))


def _add_variant(folder: Path, dataset: Dataset) -> None:
    try:
        print(describe(add_variant(folder, evidence_of(dataset))))
    except (BundleError, ExportError) as error:
        sys.exit(f"{folder} is not quantised: {error}")


def _make_keys(options: argparse.Namespace) -> None:
    try:
        print(make_keys(options.private, options.public))
    except OSError as error:
        sys.exit(f"no keys are made: {error}")


def _sign(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    try:
        key = read_key(options.key)
    except (OSError, ValueError) as error:
        parser.error(f"argument --key: {error}")
    for folder in options.bundles:
        try:
            print(f"{folder} is signed by {sign_bundle(folder.absolute(), key)}")
        except BundleError as error:
            sys.exit(f"{folder} is not signed: {error}")


def _table(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    where = (options.readme, options.docs, options.repository, options.latencies)
    try:
        if not options.check:
            write_tables(*where)
        elif not tables_are_current(*where):
            sys.exit(f"{options.readme} or {options.docs} is out of date: run `{parser.prog}`")
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
