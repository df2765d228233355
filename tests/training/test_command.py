"""`python -m training`: what is wrong is said by the option's name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from service.manifest import read_manifest
from tests.servers import CHECKOUT
from tests.training.made import make_part
from training.__main__ import main, make_parser
from training.card import load_run
from training.options import read_train_options, run_name
from training.recipe_commands import summary_of
from training.recipe_file import read_recipe


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    paths = (tmp_path / "train.npz", tmp_path / "test.npz")
    for path, seed in zip(paths, (1, 2), strict=True):
        part = make_part(24, seed)
        lengths = [len(sequence) for sequence in part.sequences]
        y = np.array(["early", "middle", "late"])[part.targets]
        np.savez(path, X=np.concatenate(part.sequences), lengths=lengths, y=y)
    return str(paths[0]), str(paths[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "--train: needed where there is no --dataset"),
        ("--train TRAIN", "--test: needed"),
        ("--train TRAIN --test TEST", "--name: needed"),
        ("--train TRAIN --test TEST --name a --family cnn", "--family: invalid choice: 'cnn'"),
        ("--train TRAIN --test nothing.npz --name a", "--test: no file nothing.npz"),
        ("--train TRAIN --test a.ts --name a", "--test: a.ts is not a .npz"),
        ("--train data.txt --test TEST --name a", "--train: data.txt is neither .ts nor .npz"),
        ("--train TRAIN --test TEST --name a --split speaker", "--split: of --dataset fsdd only"),
        ("--train TRAIN --test TEST --name a --speaker theo", "--speaker: of --dataset fsdd only"),
        ("--train TRAIN --test TEST --name a/b", "--name: 'a/b'"),
        ("--train TRAIN --test TEST --name a --cell gru --family lstm", "--cell: lstm runs over"),
        ("--train TRAIN --test TEST --name a --steps 0", "--steps: 0 is not above 0"),
        ("--train TRAIN --test TEST --name a --learning-rate -1", "--learning-rate: -1.0 is not"),
        ("--train TRAIN --test TEST --name a --dropout 1", "--dropout: 1.0 is not from 0"),
        ("--train TRAIN --test TEST --name a --seed -1", "--seed: -1 is under 0"),
        ("--train TRAIN --test TEST --name a --threads 0", "--threads: 0 is not above 0"),
        ("--train TRAIN --test TEST --name a --hidden-size x", "--hidden-size: invalid int value"),
        (
            "--train TRAIN --test TEST --name a --family transformer --hidden-size 30",
            "--hidden-size: width 30 is not a multiple of num_heads 4",
        ),
        (
            "--train TRAIN --test TEST --name a --family birnn --tbptt-window 8",
            "--tbptt-window: birnn reads whole sequences",
        ),
        ("--dataset fsdd --train TRAIN", "--dataset: not together with --train"),
        ("--dataset fsdd --speaker theo", "--speaker: needs --split speaker"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(
    arguments: str, message: str, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--no-export", *arguments.split()]
    given = [{"TRAIN": files[0], "TEST": files[1]}.get(word, word) for word in words]
    with pytest.raises(SystemExit) as stopped:
        main(given)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_own_files_become_a_finished_run(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--train", files[0], "--test", files[1], "--name", "peaks"]
    command += ["--family", "gru", "--hidden-size", "8", "--steps", "10", "--no-export"]
    command += ["--run-dir", str(tmp_path / "runs")]
    main(command)
    said = capsys.readouterr().out
    folder = tmp_path / "runs" / "peaks" / "seed-0"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["labels"] == ["early", "late", "middle"]
    assert metrics["settings"]["architecture"]["hidden_size"] == 8
    assert f"test accuracy {metrics['test']['accuracy']:.4f} of 24 sequences" in said
    assert f"logistic regression {metrics['baselines']['logistic regression']:.4f}" in said
    card, _ = load_run(folder)
    assert metrics["beaten_by"] == card.quality.beaten_by == []
    assert "WARNING" not in said
    baseline = metrics["baselines"]["logistic regression"]
    metrics["test"]["accuracy"] = baseline
    quality = card.quality.model_copy(update={"test_accuracy": baseline})
    assert quality.beaten_by == ["logistic regression"]
    *_, warning = summary_of(metrics | {"beaten_by": quality.beaten_by}, folder).splitlines()
    assert warning.startswith("WARNING: peaks seed 0 is no better than logistic regression: try")
    written = (folder / "model.pt").stat().st_mtime_ns
    main([*command, "--resume"])  # finished: nothing is trained again
    assert (folder / "model.pt").stat().st_mtime_ns == written


def test_options_change_the_recipe_and_the_rest_is_the_familys(files: tuple[str, str]) -> None:
    parser = make_parser()
    words = ["train", "--train", files[0], "--test", files[1], "--name", "a", "--family", "gru"]
    plain, _ = read_train_options(parser.parse_args(words), parser.error)
    words += ["--learning-rate", "0.5", "--tbptt-window", "7", "--no-augment", "--head", "mean"]
    changed, _ = read_train_options(parser.parse_args(words), parser.error)
    assert (changed.recipe.learning_rate, changed.recipe.tbptt_window) == (0.5, 7)
    assert changed.recipe.augmentation.noise == 0 < plain.recipe.augmentation.noise
    assert changed.recipe.steps == plain.recipe.steps
    assert (plain.architecture["head"], changed.architecture["head"]) != ("mean", "last")
    assert changed.architecture["head"] == "mean"
    assert plain.recipe.batch_size == 6  # a quarter of 24 sequences


def test_an_rnn_has_relu_by_default_and_the_bundled_one_what_it_was_trained_with(
    files: tuple[str, str],
) -> None:
    parser = make_parser()
    words = ["train", "--train", files[0], "--test", files[1], "--name", "a", "--family", "rnn"]
    run, data = read_train_options(parser.parse_args(words), parser.error)
    assert (run.architecture["cell"], run.recipe.learning_rate) == ("rnn_relu", 1e-3)
    run, _ = read_train_options(parser.parse_args([*words, "--cell", "rnn_tanh"]), parser.error)
    assert run.architecture["cell"] == "rnn_tanh"
    bundled = read_recipe("digits-rnn").run(data, 0)
    made_with = read_manifest(CHECKOUT / "repository/digits-rnn/1").provenance.hyperparameters
    for name in ("cell", "hidden_size", "num_layers", "head", "dropout"):
        assert bundled.architecture[name] == made_with["architecture"][name]
    assert bundled.recipe.learning_rate == made_with["recipe"]["learning_rate"]
    assert bundled.recipe.steps == made_with["recipe"]["steps"]


def test_digits_are_named_after_the_family_and_whom_it_never_heard() -> None:
    words = ["train", "--dataset", "fsdd", "--family", "lstm"]
    parse = make_parser().parse_args
    assert run_name(parse(words)) == "digits-lstm"
    words += ["--split", "speaker"]
    assert run_name(parse(words)) == "digits-lstm-without-theo"
    assert run_name(parse([*words, "--speaker", "lucas"])) == "digits-lstm-without-lucas"
    assert run_name(parse([*words, "--name", "mine"])) == "mine"


def test_only_a_finished_run_is_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path)])
    assert "run_folder: no finished run" in capsys.readouterr().err


@pytest.mark.deep
def test_a_trained_bundle_says_what_became_of_its_int8_variant(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--train", files[0], "--test", files[1]]
    folders = ["--run-dir", str(tmp_path / "runs"), "--repository", str(tmp_path / "bundles")]
    sizes = ["--family", "gru", "--hidden-size", "8", "--steps", "10"]
    main(["train", *data, "--name", "peaks", *sizes, *folders])
    bundle = tmp_path / "bundles" / "peaks" / "1"
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == [
        str(bundle),
        "no int8 variant: onnxruntime has no int8 form of any of its operators",
    ]
    main(["quantize", str(bundle), *data])
    assert capsys.readouterr().out.splitlines() == said[-1:]
    run = str(tmp_path / "runs" / "peaks" / "seed-0")
    main(["export", run, "--replace", *folders[2:]])
    assert capsys.readouterr().out.splitlines() == [str(bundle)]
    main(["export", run, "--replace", *folders[2:], *data])
    assert capsys.readouterr().out.splitlines() == said[-2:]
    swapped = ["--train", files[1], "--test", str(tmp_path / "missing.npz")]
    with pytest.raises(SystemExit):
        main(["quantize", str(bundle), *swapped])
    assert "--test: no file" in capsys.readouterr().err
    (bundle / "model.onnx").write_bytes(b"")
    with pytest.raises(SystemExit, match=r"is not quantised: model\.onnx has 0 bytes"):
        main(["quantize", str(bundle), *data])
