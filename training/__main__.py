"""`python -m training`: train, export, quantise and sign one model, or all; README's table.

python -m training train --dataset fsdd --family lstm --seed 0
python -m training train --train A_TRAIN.ts --test A_TEST.ts --name gestures
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from threadpoolctl import threadpool_limits

from service.errors import BundleError
from training.card import VERSION_PATTERN
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
from training.recipe_commands import RESUME, add_recipe_commands, summary_of
from training.rehearsal import check_writable
from training.run import finished_metrics, train_run
from training.signals import ended_by_signals
from training.signing import make_keys, read_key, sign_bundle
from training.table import tables_are_current, write_tables

REPOSITORY = Path("repository")
LATENCIES = Path("benchmarks/results/families.json")


def main(arguments: list[str] | None = None) -> None:
    """Run one command; wrong arguments end it with status 2 and the option's name."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    with ended_by_signals(getattr(options, "advice", "")):
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
    train.set_defaults(run=lambda options: _train(train, options), advice=RESUME)

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

    add_recipe_commands(commands, REPOSITORY)

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
    parser.add_argument("--version", type=_version, default="1", help="of the bundle (default 1)")


def _version(text: str) -> str:
    """A version that a bundle can have."""
    if not re.fullmatch(VERSION_PATTERN, text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return text


def _train(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.threads < 1:
        parser.error(f"argument --threads: {options.threads} is not above 0")
    torch.set_num_threads(options.threads)
    threadpool_limits(options.threads)  # NumPy's and scikit-learn's
    run, dataset = read_train_options(options, parser.error)
    folder = options.run_dir / run.name / f"seed-{run.seed}"
    files = {part: str(path) for part in ("train", "test") if (path := getattr(options, part))}
    try:
        if not options.no_export:
            check_writable(options.repository)
        metrics = train_run(run, dataset, folder, resume=options.resume, files=files)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not PartialState().is_main_process:
        return
    print(summary_of(metrics, folder))
    if not options.no_export:
        _add_variant(_export(folder, options, replace=True), dataset)


def _long_range(options: argparse.Namespace) -> None:
    run_long_range(options.problem, options.lengths, options.budget_s, options.folder)
    if options.problem == "adding":
        results, picture = options.folder / RESULTS_FILE, options.folder / GRADIENTS_FILE
        draw_gradients(results, min(options.lengths), picture)


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
