"""An int8 variant of a bundle: made, held against its gates, and only then put into the bundle."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import statistics
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from service.manifest import (
    MANIFEST_FILE,
    Manifest,
    Quality,
    Speed,
    Variant,
    read_graph,
    read_manifest,
)
from training.data.frames.dataset import Dataset
from training.export.bundle import publish
from training.export.company import Floats, Runner, in_company
from training.export.halves import widen
from training.export.lint import ExportError, lint_variant
from training.export.quantize import Range, quantisable, quantize

VARIANT_FILE = "model.int8.onnx"
MAX_ACCURACY_LOSS = 0.005
MIN_AGREEMENT_IN_COMPANY = 0.995
MIN_SPEED = 1.05
"""Of fp32's; below, a variant is not worth another file and another set of answers."""
MIN_TOLERANCE = 1e-4
CALIBRATION_SEQUENCES = 512
SPEED_BATCH = 8
SPEED_ROUNDS, SPEED_RUNS = 75, 3
CPU_FLAGS = ("avx2", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")


class VariantRefusedError(Exception):
    """Raised when a variant does not pass a gate: which one, and by how much."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What a variant is made from and judged by."""

    calibration: list[Floats]
    """Training sequences (time, features): the ranges of the activations come from them."""
    judged: list[Floats]
    """Test sequences, whose answers are compared with fp32's and in company."""
    targets: NDArray[np.int64] | None
    """Their classes; None where the model learned nothing and has no score."""


def evidence_of(dataset: Dataset) -> Evidence:
    """A data set as evidence; calibration takes evenly spaced training sequences."""
    train, test = dataset.train, dataset.test
    chosen = np.linspace(0, len(train) - 1, min(len(train), CALIBRATION_SEQUENCES)).astype(int)
    return Evidence([train.sequences[index] for index in chosen], test.sequences, test.targets)


def describe(manifest: Manifest) -> str:
    """What became of a bundle's int8 variant, in a line."""
    if "int8" in manifest.refused_variants:
        return f"no int8 variant: {manifest.refused_variants['int8']}"
    variant = manifest.variants["int8"]
    score = "" if variant.test_accuracy is None else f"test accuracy {variant.test_accuracy:.4f}, "
    return (
        f"int8 variant: {score}{variant.agreement:.1%} of the labels are fp32's, "
        f"{variant.speed.relative:.2f} times its speed; neighbours move a logit by "
        f"{variant.company_error:.2g}, rounding by {variant.max_abs_error:.2g}"
    )


def add_variant(folder: Path, evidence: Evidence, min_speed: float = MIN_SPEED) -> Manifest:
    """Give a bundle its int8 variant, or the reason why it has none.

    Args:
        folder: The version's folder, `<model>/<version>`; written anew, all or nothing.
        evidence: Of the bundle's own data set.
        min_speed: Of fp32's, measured here.
    Returns:
        The new manifest.
    Raises:
        BundleError: The bundle can't be read.
        ExportError: The data are not the bundle's, or the quantised graph is malformed.
    """
    manifest = read_manifest(folder)
    graph = read_graph(folder, manifest)
    fixed: dict[str, dict[str, object]] = {"variants": {}, "refused_variants": {}}
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != VARIANT_FILE}
    try:
        content, variant = make_variant(graph, manifest, evidence, min_speed)
    except VariantRefusedError as error:
        fixed["refused_variants"] = {"int8": str(error)}
    else:
        fixed["variants"] = {"int8": variant}
        files[VARIANT_FILE] = content
    manifest = manifest.model_copy(update=fixed)
    files[MANIFEST_FILE] = (manifest.model_dump_json(indent=2) + "\n").encode()
    publish(files, folder)
    return manifest


def make_variant(
    graph: bytes, manifest: Manifest, evidence: Evidence, min_speed: float = MIN_SPEED
) -> tuple[bytes, Variant]:
    """The int8 form of a bundle's graph, and what its manifest says of it.

    Raises:
        VariantRefusedError: There is nothing to quantise, or a gate fails.
        ExportError: The data are not the bundle's, or the quantised graph is malformed.
    """
    _check_width(manifest, [*evidence.calibration, *evidence.judged])
    original = widen(onnx.load_from_string(graph))
    if not quantisable(original):
        raise VariantRefusedError("onnxruntime has no int8 form of any of its operators")
    ranges = calibrate(original, manifest, evidence.calibration)
    refusals = []
    for by_column in (False, True):  # the faster one, if its score is good enough
        quantized = quantize(original, ranges, by_column=by_column)
        lint_variant(quantized, original, manifest.inputs.lengths)
        content = quantized.SerializeToString()
        try:
            return content, judge(content, graph, manifest, evidence, min_speed)
        except VariantRefusedError as error:
            refusals.append(error)
    raise refusals[-1]


def calibrate(
    graph: onnx.ModelProto, manifest: Manifest, sequences: list[Floats]
) -> dict[str, Range]:
    """The range of every tensor that `quantize` asks for, over the steps of these sequences."""
    tapped = onnx.ModelProto()
    tapped.CopyFrom(graph)
    names = list(dict.fromkeys(quantisable(graph)))
    tapped.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    runner = Runner(tapped.SerializeToString(), manifest)
    lows, highs = np.zeros(len(names)), np.zeros(len(names))
    for sequence in sequences:
        values = runner.tensors(sequence, names)
        lows = np.minimum(lows, [value.min() for value in values])
        highs = np.maximum(highs, [value.max() for value in values])
    highs = np.where(highs == lows, 1.0, highs)  # always 0: any range will do
    return {
        name: (float(low), float(high)) for name, low, high in zip(names, lows, highs, strict=True)
    }


def judge(
    content: bytes, graph: bytes, manifest: Manifest, evidence: Evidence, min_speed: float
) -> Variant:
    """Hold a quantised graph against its gates.

    Raises:
        VariantRefusedError: Its score, its answers in company or its speed are not good enough.
        ExportError: fp32 has another score than the manifest says: these are other data.
    """
    fp32, int8 = Runner(graph, manifest), Runner(content, manifest)
    expected = np.stack([fp32.alone(sequence) for sequence in evidence.judged])
    alone = np.stack([int8.alone(sequence) for sequence in evidence.judged])
    accuracy = _score(manifest, expected, alone, evidence.targets)
    max_abs_error = float(np.abs(alone - expected).max())
    tolerance = max(max_abs_error, MIN_TOLERANCE)
    return Variant(
        file=VARIANT_FILE,
        sha256=hashlib.sha256(content).hexdigest(),
        graph_bytes=len(content),
        test_accuracy=accuracy,
        agreement=_agreement(alone, expected),
        max_abs_error=max_abs_error,
        company_error=_company_error(int8, alone, evidence.judged, tolerance),
        tolerance=tolerance,
        speed=_speed(fp32, int8, min_speed),
    )


def _check_width(manifest: Manifest, sequences: list[Floats]) -> None:
    widths = {sequence.shape[1] for sequence in sequences}
    if widths != {manifest.num_features}:
        raise ExportError(
            f"data: {manifest.name} reads {manifest.num_features} features, the sequences have "
            f"{', '.join(map(str, sorted(widths)))}"
        )


def _score(
    manifest: Manifest, expected: Floats, found: Floats, targets: NDArray[np.int64] | None
) -> float | None:
    """The accuracy of `found`, held against that of fp32's answers, `expected`."""
    if not np.isfinite(found).all():
        raise VariantRefusedError("an answer is not finite")
    if targets is None:
        return None
    was, now = (float((logits.argmax(axis=1) == targets).mean()) for logits in (expected, found))
    quality = manifest.quality
    if not isinstance(quality, Quality):
        raise ExportError(f"{manifest.name} is scored by {quality.metric}, not by its labels")
    if abs(was - quality.test_accuracy) > MAX_ACCURACY_LOSS:
        raise ExportError(
            f"data: fp32 scores {was:.4f} on these test sequences, the manifest says "
            f"{quality.test_accuracy:.4f}: they are not this bundle's"
        )
    if now < was - MAX_ACCURACY_LOSS:
        raise VariantRefusedError(
            f"test accuracy falls from {was:.4f} to {now:.4f}, by more than {MAX_ACCURACY_LOSS:g}"
        )
    return now


def _company_error(int8: Runner, alone: Floats, sequences: list[Floats], tolerance: float) -> float:
    """How far the worst neighbours move a logit."""
    together = in_company(int8, sequences)
    error = float(np.abs(together - alone).max())
    agreement = _agreement(together, alone)
    if not error <= tolerance * max(1.0, float(np.abs(alone).max())):  # so that NaN fails too
        raise VariantRefusedError(
            f"neighbours move a logit by {error:.3g}; rounding to int8 alone by {tolerance:.3g}"
        )
    if agreement < MIN_AGREEMENT_IN_COMPANY:
        raise VariantRefusedError(
            f"neighbours change {1 - agreement:.2%} of the labels; allowed are "
            f"{1 - MIN_AGREEMENT_IN_COMPANY:.2%}"
        )
    return error


def _speed(fp32: Runner, int8: Runner, min_speed: float) -> Speed:
    """CPU time of both at the shape that a loaded server runs, in turns."""
    steps = max(1, round(fp32.manifest.profile.length_quantiles.get("0.5", 1.0)))
    shape = (SPEED_BATCH, steps, SPEED_RUNS)
    # a ratio a round: what else the machine does slows both
    ratios = [fp32.cpu_s(*shape) / int8.cpu_s(*shape) for _ in range(SPEED_ROUNDS)]
    relative = round(statistics.median(ratios), 2)
    if relative < min_speed:
        raise VariantRefusedError(
            f"{relative:.2f} times fp32's speed in batches of {SPEED_BATCH} with {steps} steps; "
            f"{min_speed:g} is the least that is worth it"
        )
    return Speed(relative=relative, batch_size=SPEED_BATCH, steps=steps, cpu=cpu_name())


def cpu_name() -> str:
    """This machine's CPU and those of its instructions that int8 arithmetic depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {
        key.strip().lower(): value.strip()
        for key, _, value in (line.partition(":") for line in lines)
    }
    flags = set(fields.get("flags", fields.get("features", "")).split())
    name = fields.get("model name", platform.machine())
    return f"{name} ({', '.join(flag for flag in CPU_FLAGS if flag in flags)})"


def _agreement(found: Floats, expected: Floats) -> float:
    return float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
