"""A bundle made to serve: verified, checked for invariance, measured and warm."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import structlog
from onnxruntime import InferenceSession

from service.description import Description, read_description
from service.engine.engine import Engine
from service.errors import BundleError, DrainingError
from service.graphs.checks.batchable import obstacle_of_operators, try_out
from service.graphs.checks.company import find_obstacle
from service.graphs.checks.invariance import check_invariance, probe
from service.graphs.checks.onnx_file import read_onnx_file
from service.graphs.checks.process import TrialProcess, said_empty
from service.graphs.checks.values import TOLERANCE
from service.graphs.decoders.check import check_decoder
from service.graphs.decoders.decoder import Decoder
from service.graphs.described.describe import describe
from service.graphs.described.limits import said_limits, with_limits
from service.graphs.model import OnnxModel
from service.graphs.runs import Runs, check_not_ended
from service.graphs.session import open_session
from service.graphs.spec import spec_of
from service.graphs.tensors import TensorModel
from service.manifest import (
    GRAPH_FILE,
    MANIFEST_FILE,
    Manifest,
    Precision,
    check_manifest,
    read_document,
    read_file,
    read_graph,
)
from service.origin.signatures import Signatures
from service.reading import waiting
from service.reasons import why
from service.repository.files import check_files, sha256_of
from service.repository.room import Room, version_of
from service.repository.served import Loaded, Served
from service.schedulers.bounds import Bounds
from service.schedulers.cost import calibrate
from service.schedulers.decoding import DecodingScheduler
from service.schedulers.sequences import SequenceScheduler
from service.schedulers.tensors import TensorScheduler
from service.tasks.decoding import DecodingTask
from service.tasks.described import described_task
from service.tasks.registry import task_of
from service.tasks.settings import ENCODER_FILE
from service.tasks.task import Bundle, Task
from service.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

OPENING_S = 60.0
"""Onnxruntime may take to open a graph, or a process beside to try one, without a word."""
CHECKED_CHUNK = 16  # steps; a state that carries over at one place carries over at all


class Loader:
    """Makes bundles serve.

    Args:
        engine: Runs their batches.
        metrics: Counts them.
        bounds: Of each model's scheduler.
        precision: What answers unless a request says otherwise, where a model has it; else fp32.
        signatures: Says which bundles may serve.
    """

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        bounds: Bounds,
        precision: Precision,
        signatures: Signatures,
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._bounds = bounds
        self._precision = precision
        self._signatures = signatures
        self._room = Room(bounds)
        self._under_way: set[Runs] = set()
        self._kept_trials = TrialProcess()
        self._of_thread = threading.local()

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Within, what graphs are tried in is kept from one load to the next."""
        try:
            yield
        finally:
            self._kept_trials.close()

    def leave(self) -> None:
        """Let loads to come have nothing in common with one that stands still."""
        self._kept_trials = TrialProcess()

    @property
    def _trials(self) -> TrialProcess:
        trials: TrialProcess = self._of_thread.trials
        return trials

    def load(self, folder: Path) -> Loaded:
        """Make the model of one version's folder serve.

        Raises:
            BundleError: It is not as it should be, or there is no room for it; a bad variant
                refuses itself alone, unless it is the one that answers by default.
            DrainingError: It was stopped.
        """
        watchdog, runs = self._engine.watchdog, Runs()
        too_long = BundleError(f"a run took longer than max_hang_s, {watchdog.max_hang_s:g} s")
        trials = self._of_thread.trials = self._kept_trials
        self._under_way.add(runs)
        try:
            with watchdog.watching(runs, partial(runs.end, too_long)):
                return self._load_into_room(folder)
        finally:
            self._under_way.discard(runs)
            if trials is not self._kept_trials:  # it was left
                trials.close()

    def stop(self) -> None:
        """Have what is being loaded run no more; by any thread."""
        for runs in list(self._under_way):
            runs.end(DrainingError("the server is stopping"))
        self._kept_trials.stop()

    def _load_into_room(self, folder: Path) -> Loaded:
        with waiting(f"looking at version {folder.name}"):
            check_files(folder)
            size = self._room.take(folder)
        try:
            return dataclasses.replace(self._load(folder), num_bytes=size)
        except BaseException:
            self._room.give(version_of(folder), size)
            raise

    def _load(self, folder: Path) -> Loaded:
        with waiting(f"looking at version {folder.name}"):
            signed = self._signatures.check(folder)
            has_manifest = (folder / MANIFEST_FILE).exists()
        if not has_manifest:
            return Loaded(self._serve_tensors(folder), {})
        document = read_document(folder, signed.get(MANIFEST_FILE))
        if "schema_version" not in document:
            return Loaded(self._serve_described(folder, read_description(document)), {})
        manifest = check_manifest(folder, document)
        task = task_of(Bundle(manifest, partial(read_file, folder, manifest)))
        default = self._precision if self._precision in manifest.precisions else "fp32"
        served = self._serve(folder, manifest, task, default)
        others: dict[str, Served | str] = {
            precision: self._serve_or_refuse(folder, manifest, task, precision)
            for precision in manifest.precisions
            if precision != default
        }
        return Loaded(served, others)

    def unload(self, loaded: Loaded) -> None:
        """Free a version, once all that it was asked is answered; not on the event loop."""
        for served in (loaded.served, *loaded.others.values()):
            if isinstance(served, Served):
                self._engine.remove(served.scheduler)
                if self._metrics.forget_model(served.scheduler.metrics):
                    self._metrics.model_info.labels(*served.labels).set(0)
        self._room.give((loaded.served.name, loaded.served.version), loaded.num_bytes)

    def _serve_or_refuse(
        self, folder: Path, manifest: Manifest, task: Task, precision: Precision
    ) -> Served | str:
        try:
            return self._serve(folder, manifest, task, precision)
        except Exception as error:  # noqa: BLE001 - the other precision serves all the same
            reason = str(error) if isinstance(error, BundleError) else why(error)
        self._metrics.repository.load_failures.inc()
        name, version = manifest.name, manifest.version
        model = {"model": name, "version": version, "precision": precision}
        log.error("precision refused", **model, reason=reason)
        return reason

    def _serve(self, folder: Path, manifest: Manifest, task: Task, precision: Precision) -> Served:
        graph = read_graph(folder, manifest, precision)
        session = open_session(graph)
        if precision == "fp32" and (obstacle := obstacle_of_operators(read_onnx_file(graph))):
            raise BundleError(f"not batch-invariant: {obstacle}")
        tolerance = TOLERANCE if precision == "fp32" else manifest.variants[precision].tolerance
        if isinstance(task, DecodingTask):
            spec = task.decoder_spec()
            encoder = open_session(task.bundle.read_file(ENCODER_FILE)) if spec.memory else None
            decoder = Decoder(spec, session, encoder)
            check_decoder(decoder, tolerance=tolerance)
            metrics = self._metrics.of_model(manifest.name, manifest.version, precision)
            decoding = DecodingScheduler(decoder, self._bounds.of_decoders(), metrics)
            return self._begin(Served.of_bundle(task, decoding, precision))
        model = OnnxModel(session, spec_of(manifest))
        chunk_steps = self._bounds.chunk_steps or CHECKED_CHUNK
        sequences = probe(model.spec, chunk_steps, manifest.profile)
        check_invariance(model, sequences, chunk_steps, tolerance)
        cost = calibrate(model, self._bounds, manifest.name)
        metrics = self._metrics.of_model(manifest.name, manifest.version, precision)
        scheduler = SequenceScheduler(model, self._bounds, cost, metrics)
        return self._begin(Served.of_bundle(task, scheduler, precision))

    def _serve_described(self, folder: Path, description: Description) -> Served:
        """A graph that a few lines make a sequence model."""
        name, version = folder.parent.name, folder.name
        session, file = open_file_session(folder), read_onnx_file(folder / GRAPH_FILE)
        model = with_limits(describe(session, description), description)
        task = described_task(name, version, description, model.spec)
        chunk_steps = self._bounds.chunk_steps or CHECKED_CHUNK
        obstacle = obstacle_of_operators(file)
        if obstacle and model.spec.state:
            raise BundleError(f"state: {obstacle}, so of all steps of a chunk too")
        seen = find_obstacle(model, chunk_steps, not model.fixed_batch)
        obstacle = obstacle or seen
        bounds = self._bounds
        if obstacle:
            bounds = dataclasses.replace(bounds, max_batch_size=1)
        if not model.spec.is_ragged:  # sequences of one length alone run together
            bounds = dataclasses.replace(bounds, max_padding_ratio=1.0)
        cost = calibrate(model, bounds, name)
        graph, spec = sha256_of(folder), model.spec
        metrics = self._metrics.of_model(name, version)
        scheduler = SequenceScheduler(model, bounds, cost, metrics, is_checked=False)
        properties = said_limits(spec)
        if obstacle:
            properties["batching"] = f"one sequence at a time: {obstacle}"
        return self._begin(
            Served(
                name,
                version,
                graph,
                spec.signature(),
                scheduler,
                spec,
                task,
                properties=properties,
            )
        )

    def _serve_tensors(self, folder: Path) -> Served:
        """A graph that nothing is known of."""
        session, file = open_file_session(folder), read_onnx_file(folder / GRAPH_FILE)
        model = TensorModel(session, unranked=file.unranked if file else ())
        self._trials.begin(folder / GRAPH_FILE, model.signature)
        seen = try_out(model)
        obstacle = obstacle_of_operators(file) or seen.obstacle
        name, version = folder.parent.name, folder.name
        properties = {"batching": f"one request at a time: {obstacle}" if obstacle else "by rows"}
        if seen.ignored:
            properties["ignored"] = f"at load this changed nothing: {seen.ignored}"
        if model.left_out:
            names = ", ".join(f"{spec.name} ({spec.datatype})" for spec in model.left_out)
            properties["left_out"] = f"no tensors: {names}"
        graph = sha256_of(folder)
        with waiting(f"trying {GRAPH_FILE}", OPENING_S):
            may_be_empty = self._trials.seen()
        if may_be_empty:
            properties["may_be_empty"] = said_empty(may_be_empty)
        signature = seen.signature._replace(may_be_empty=may_be_empty)
        metrics = self._metrics.of_model(name, version)
        scheduler = TensorScheduler(model, not obstacle, self._bounds, metrics)
        return self._begin(
            Served(name, version, graph, signature, scheduler, properties=properties)
        )

    def _begin(self, served: Served) -> Served:
        """Have the engine run it, and its metrics follow it."""
        check_not_ended()
        scheduler = served.scheduler
        if isinstance(served.manifest, Manifest):
            inputs = scheduler.metrics.look_at_inputs(served.manifest)
            if inputs is not None and served.sequences is not None:
                scheduler.core.sampler = inputs.sampler
        self._engine.add(scheduler)
        scheduler.metrics.watch(
            lambda: self._engine.num_waiting(scheduler),
            lambda: scheduler.core.num_active,
            lambda: self._engine.fill(scheduler),
            lambda: scheduler.is_quarantined,
        )
        self._metrics.bear(served.name, served.version)
        self._metrics.model_info.labels(*served.labels).set(1)
        return served


def open_file_session(folder: Path) -> InferenceSession:
    """A session of a folder's graph, whose weights may lie beside it.

    Raises:
        BundleError: onnxruntime can't load it.
    """
    with waiting(f"opening {GRAPH_FILE}", OPENING_S):
        return open_session(folder / GRAPH_FILE)
