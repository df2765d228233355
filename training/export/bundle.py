"""A finished run to a bundle: export, every gate, then one atomic write."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any, Literal

from models.decoders.causal import CausalTransformer
from models.decoders.translator import Translator
from service.manifest import GRAPH_FILE, MANIFEST_FILE, BundleFile, Manifest
from training.card import Card, load_run
from training.export.cached import (
    CachedCandidate,
    cached_signature,
    check_cache,
    write_cached_graph,
)
from training.export.graph import Exported, Signature, export_graph, signature_of
from training.export.lint import ExportError, lint
from training.export.translator_gates import export_translator
from training.export.verify import Candidate, check_chunks, check_padding, check_parity

METRICS_FILE = "metrics.json"


def export_run(
    run_folder: Path, repository: Path, version: str = "1", *, replace: bool = False
) -> Path:
    """Export a run into `repository/<name>/<version>/`; a failing gate writes nothing.

    Args:
        run_folder: What `training.card.save_run` wrote; its `metrics.json`, if any, is copied.
        repository: The folder of all bundles; made if missing.
        version: A positive number.
        replace: Put the new bundle in an existing version's place.
    Returns:
        The version's folder.
    Raises:
        ExportError: The version exists, or a gate fails: its message says which, where, how much.
    """
    card, model = load_run(run_folder)
    folder = repository / card.name / version
    if folder.exists() and not replace:
        raise ExportError(f"{card.name} version {version} exists; it is replaced only when asked")
    is_translator = isinstance(model, Translator)
    made = (export_translator if is_translator else _export_sequences)(run_folder, card, model)
    beside = {name: (run_folder / name).read_bytes() for name in card.files} | made.files
    manifest = _manifest(card, version, made, beside)
    files = {
        **beside,
        GRAPH_FILE: made.graph,
        MANIFEST_FILE: (manifest.model_dump_json(indent=2) + "\n").encode(),
    }
    if (run_folder / METRICS_FILE).exists():
        files[METRICS_FILE] = (run_folder / METRICS_FILE).read_bytes()
    publish(files, folder)
    return folder


def _export_sequences(run_folder: Path, card: Card, model: Any) -> Exported:
    """A model of one graph over sequences, through its gates."""
    cached = isinstance(model, CausalTransformer)
    signature = cached_signature(card, model) if cached else signature_of(card, model)
    exported = export_graph(run_folder, write_cached_graph if cached else None)
    lint(exported, signature, model)
    graph = exported.SerializeToString()
    candidate = (CachedCandidate if cached else Candidate)(graph, signature, model, card)
    parity = check_parity(candidate, card.limits.max_length)
    check_padding(candidate)
    check_chunks(candidate)
    if isinstance(candidate, CachedCandidate):
        check_cache(candidate)
    return Exported(
        graph,
        _batching(card, signature),
        signature.state,
        "weights" if signature.has_weights else None,
        parity,
        files={},
    )


def _manifest(card: Card, version: str, made: Exported, files: dict[str, bytes]) -> Manifest:
    return Manifest(
        name=card.name,
        version=version,
        family=card.architecture["family"],
        task=card.task,
        batching=made.batching,
        inputs=card.inputs,
        outputs=card.outputs.model_copy(update={"weights": made.weights}),
        state=made.state,
        limits=card.limits,
        audio=card.audio,
        sha256=hashlib.sha256(made.graph).hexdigest(),
        graph_bytes=len(made.graph),
        parity=made.parity,
        quality=card.quality,
        files={
            name: BundleFile(sha256=hashlib.sha256(content).hexdigest(), num_bytes=len(content))
            for name, content in files.items()
        },
        settings=card.settings,
        profile=card.profile,
        provenance=card.provenance,
    )


def _batching(card: Card, signature: Signature) -> Literal["cells", "sequences", "decoding"]:
    if card.task == "generation":
        return "decoding"
    return "cells" if signature.state else "sequences"


def publish(files: dict[str, bytes], folder: Path) -> None:
    """Write a folder beside its place, then rename it there; readers see all of it or nothing.

    Names that begin with a dot are no versions, so that a server does not load half a bundle.
    """
    new = folder.with_name(f".{folder.name}.new-{os.getpid()}")
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    try:
        new.mkdir(parents=True)
        for name, content in files.items():
            with (new / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync_folder(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        _sync_folder(folder.parent)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)  # the second rename failed: the old version stays
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
