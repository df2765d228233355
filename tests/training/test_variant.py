"""A bundle's int8 variant: accepted only through every gate, each of which can close."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from service.errors import BundleError
from service.manifest import MANIFEST_FILE, Manifest, Quality, read_graph, read_manifest
from tests.training.conftest import Exported
from training.export.company import Runner, around
from training.export.lint import ExportError, lint_variant
from training.export.quantize import quantize
from training.export.variant import (
    VARIANT_FILE,
    Evidence,
    VariantRefusedError,
    add_variant,
    calibrate,
    describe,
    judge,
)

Export = Callable[[str], Exported]
Spoil = Callable[[onnx.ModelProto], None]


class Bundle:
    """A copy of a toy bundle, and data on which its fp32 graph scores what its manifest says."""

    def __init__(self, exported: Exported, folder: Path) -> None:
        self.folder = folder / exported.card.name / "1"
        shutil.copytree(exported.folder, self.folder)
        manifest = read_manifest(self.folder)
        random = np.random.default_rng(0)
        sequences = [
            around(manifest, random.standard_normal((length, 3))) for length in range(1, 41)
        ]
        runner = Runner(read_graph(self.folder, manifest), manifest)
        answers = np.array([runner.alone(sequence).argmax() for sequence in sequences])
        targets = np.where(np.arange(40) % 4 == 0, answers, (answers + 1) % 4)
        assert isinstance(manifest.quality, Quality)
        assert float((answers == targets).mean()) == manifest.quality.test_accuracy
        self.evidence = Evidence(sequences[::2], sequences, targets.astype(np.int64))

    def manifest(self) -> Manifest:
        return read_manifest(self.folder)

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def bundle(exported: Export, tmp_path: Path) -> Bundle:
    """The LSTM's."""
    return Bundle(exported("lstm"), tmp_path)


def test_an_accepted_variant_is_in_the_bundle_with_its_figures(bundle: Bundle) -> None:
    before = bundle.manifest()
    fp32 = read_graph(bundle.folder, before)
    manifest = add_variant(bundle.folder, bundle.evidence, min_speed=0.0)
    assert manifest == bundle.manifest()
    assert manifest.model_copy(update={"variants": {}}) == before
    assert bundle.files() == {"model.onnx", "model.json", "metrics.json", VARIANT_FILE}
    assert read_graph(bundle.folder, manifest) == fp32
    runner = Runner(read_graph(bundle.folder, manifest, "int8"), manifest)
    assert runner.alone(bundle.evidence.judged[0]).shape == (4,)
    variant = manifest.variants["int8"]
    assert variant.test_accuracy is not None
    assert abs(variant.test_accuracy - 0.25) <= 0.005
    assert variant.company_error < 1e-5 < variant.max_abs_error < 0.05
    assert variant.tolerance == variant.max_abs_error
    assert variant.speed.relative > 0
    assert "int8 variant: test accuracy 0.2500" in describe(manifest)


def test_the_same_bundle_and_data_give_the_same_variant(bundle: Bundle) -> None:
    digests = {
        add_variant(bundle.folder, bundle.evidence, min_speed=0.0).variants["int8"].sha256
        for _ in range(2)
    }
    assert len(digests) == 1


def test_a_family_without_int8_operators_is_told_so(exported: Export, tmp_path: Path) -> None:
    bundle = Bundle(exported("gru"), tmp_path)
    manifest = add_variant(bundle.folder, bundle.evidence)
    assert manifest.variants == {}
    assert manifest.refused_variants == {
        "int8": "onnxruntime has no int8 form of any of its operators"
    }
    assert bundle.files() == {"model.onnx", "model.json", "metrics.json"}
    assert "no int8 variant: onnxruntime has" in describe(manifest)


def test_a_variant_that_is_too_slow_is_refused_and_the_old_one_goes(bundle: Bundle) -> None:
    add_variant(bundle.folder, bundle.evidence, min_speed=0.0)
    assert VARIANT_FILE in bundle.files()
    manifest = add_variant(bundle.folder, bundle.evidence, min_speed=1e6)
    assert "times fp32's speed in batches of 8 with 9 steps" in manifest.refused_variants["int8"]
    assert manifest == bundle.manifest()
    assert VARIANT_FILE not in bundle.files()


def quantised(bundle: Bundle) -> onnx.ModelProto:
    graph = onnx.load(bundle.folder / "model.onnx")
    return quantize(graph, calibrate(graph, bundle.manifest(), bundle.evidence.calibration))


def scale(graph: onnx.ModelProto, ending: str, factor: float) -> None:
    tensor = next(tensor for tensor in graph.graph.initializer if tensor.name.endswith(ending))
    values = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array((values * factor).astype(values.dtype), tensor.name))


def break_a_scale(graph: onnx.ModelProto) -> None:
    scale(graph, ".hidden.scale", -8.0)


def let_the_range_follow_the_batch(graph: onnx.ModelProto) -> None:
    """What dynamic quantisation is without a bound on its inputs."""
    for ending in (".low", ".high"):
        scale(graph, ending, 1e30)


def answer_no_number(graph: onnx.ModelProto) -> None:
    scale(graph, "output.bias", float("nan"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (break_a_scale, r"test accuracy falls from 1\.0000 to 0"),
        (let_the_range_follow_the_batch, "neighbours move a logit by"),
        (answer_no_number, "an answer is not finite"),
    ],
)
def test_a_spoilt_variant_is_refused(spoil: Spoil, reason: str, bundle: Bundle) -> None:
    # a score that can only fall: fp32's own answers are the truth
    runner = Runner(read_graph(bundle.folder, bundle.manifest()), bundle.manifest())
    answers = [runner.alone(sequence).argmax() for sequence in bundle.evidence.judged]
    evidence = dataclasses.replace(bundle.evidence, targets=np.array(answers))
    document = json.loads((bundle.folder / MANIFEST_FILE).read_text())
    document["quality"]["test_accuracy"] = 1.0
    manifest = Manifest.model_validate(document)
    fp32 = read_graph(bundle.folder, manifest)
    graph = quantised(bundle)
    judge(graph.SerializeToString(), fp32, manifest, evidence, 0.0)
    spoil(graph)
    with pytest.raises(VariantRefusedError, match=reason):
        judge(graph.SerializeToString(), fp32, manifest, evidence, 0.0)


def forget_lengths(graph: onnx.ModelProto) -> None:
    for node in graph.graph.node:
        if node.op_type == "DynamicQuantizeLSTM":
            node.input[4] = ""


def drop_a_layer(graph: onnx.ModelProto) -> None:
    node = next(node for node in graph.graph.node if node.op_type == "DynamicQuantizeLSTM")
    node.op_type, node.domain = "Identity", ""


def use_another_operator(graph: onnx.ModelProto) -> None:
    graph.graph.node[0].domain = "com.microsoft"


def use_other_operators(graph: onnx.ModelProto) -> None:
    graph.opset_import.append(onnx.helper.make_opsetid("somebody.else", 1))


def freeze_the_batch(graph: onnx.ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (forget_lengths, "takes its lengths from 'nowhere'"),
        (drop_a_layer, "1 operators for the 2 LSTM of the fp32 graph"),
        (use_another_operator, "is none that a variant may have"),
        (use_other_operators, "operator sets"),
        (freeze_the_batch, "input inputs has axes"),
    ],
)
def test_a_malformed_variant_is_a_fault_of_the_export(
    spoil: Spoil, reason: str, bundle: Bundle
) -> None:
    original = onnx.load(bundle.folder / "model.onnx")
    graph = quantised(bundle)
    lint_variant(graph, original, "lengths")
    spoil(graph)
    with pytest.raises(ExportError, match=f"lint: .*{reason}"):
        lint_variant(graph, original, "lengths")


def test_other_data_than_the_bundles_are_refused(bundle: Bundle) -> None:
    before = (bundle.folder / MANIFEST_FILE).read_bytes()
    assert bundle.evidence.targets is not None
    others = (bundle.evidence.targets + 2) % 4
    with pytest.raises(ExportError, match=r"fp32 scores .* they are not this bundle's"):
        add_variant(bundle.folder, dataclasses.replace(bundle.evidence, targets=others), 0.0)
    wide = [np.zeros((5, 7), dtype=np.float32)]
    with pytest.raises(ExportError, match="reads 3 features, the sequences have 3, 7"):
        add_variant(bundle.folder, dataclasses.replace(bundle.evidence, judged=wide), 0.0)
    assert (bundle.folder / MANIFEST_FILE).read_bytes() == before


def test_a_tampered_bundle_gets_no_variant(bundle: Bundle) -> None:
    (bundle.folder / "model.onnx").write_bytes(b"another graph")
    with pytest.raises(BundleError, match=r"model\.onnx has 13 bytes"):
        add_variant(bundle.folder, bundle.evidence, 0.0)


def test_a_model_without_a_score_passes_the_other_gates(bundle: Bundle) -> None:
    unscored = dataclasses.replace(bundle.evidence, targets=None)
    variant = add_variant(bundle.folder, unscored, 0.0).variants["int8"]
    assert variant.test_accuracy is None
    assert variant.agreement > 0.9
