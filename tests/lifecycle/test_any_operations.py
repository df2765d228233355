"""Whatever is done to a model, in whatever order: what serves is what a few lines say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from structlog.testing import capture_logs

from service.app import bounds_of
from service.engine.engine import Engine
from service.errors import BundleRefusedError, ModelNotFoundError, ModelNotReadyError, ServiceError
from service.manifest import GRAPH_FILE
from service.repository.changes import Change, Load, Unload
from service.repository.repository import Repository
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.fakes import TIMEOUT_S
from tests.graphs.made import sum_graph, sum_manifest, write_bundle
from tests.lifecycle.asking import MODEL

GRAPH = sum_graph()
versions = st.integers(1, 3)
policies: st.SearchStrategy[Any] = st.one_of(
    st.just("all"),
    st.integers(1, 3).map(lambda count: {"latest": count}),
    st.lists(versions, min_size=1, max_size=3).map(lambda listed: {"specific": listed}),
)
configs: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    policies.map(lambda policy: {"versions": policy}),
    st.fixed_dictionaries(
        {},
        optional={
            "versions": policies,
            "aliases": st.fixed_dictionaries({"stable": versions}),
            "canary": st.fixed_dictionaries({"version": versions, "weight": st.just(0.5)}),
            "shadow": st.fixed_dictionaries({"version": versions}),
        },
    ),
)


class Expected:
    """What should serve: the contents of each version, by its number."""

    def __init__(self) -> None:
        self.files: dict[int, tuple[str, bool]] = {}  # contents, and whether they are good
        self.serving: dict[int, str] = {}
        self.config: dict[str, Any] = {}
        self.is_unloaded = False

    def settle(self, config: dict[str, Any], is_strict: bool) -> bool:
        """Have serve what is to; whether any version that was tried is refused.

        Nothing changes if not all that the configuration names can serve; unless nothing did, and
        nobody is there to be told.
        """
        trials = self._on_trial(config)
        specific = self._specific(config)
        named = {*config.get("aliases", {}).values(), *trials, *specific}
        policy = config.get("versions", {"latest": 1})
        count = 9 if policy == "all" else policy.get("latest", 0)
        is_strict |= bool(self.serving)
        if is_strict and not (named <= self.files.keys() and self._rule(self.files, config)):
            return True
        if not trials <= self.files.keys():
            return True
        able = {
            version: contents if good else self.serving.get(version)
            for version, (contents, good) in self.files.items()
        }
        tried, num_serving = set(named), 0
        for version in sorted(self.files.keys() - trials, reverse=True):
            if num_serving < count:
                tried.add(version)
            num_serving += version in tried and able[version] is not None
        if is_strict and any(able.get(version) is None for version in named):
            return True
        self.config, self.is_unloaded = config, False
        self.serving = {
            version: contents for version in tried if (contents := able.get(version)) is not None
        }
        return any(not self.files.get(version, ("", False))[1] for version in tried)

    def _on_trial(self, config: dict[str, Any]) -> set[int]:
        return {config[key]["version"] for key in ("canary", "shadow") if key in config}

    def _specific(self, config: dict[str, Any]) -> set[int]:
        policy = config.get("versions", {})
        return set() if policy == "all" else {*policy.get("specific", [])}

    def _rule(self, versions: Iterable[int], config: dict[str, Any]) -> set[int]:
        """Those of these versions that may answer who names none."""
        return {*versions} - self._on_trial(config) or {*versions} & self._specific(config)

    @property
    def default(self) -> int | None:
        """What answers who names no version."""
        return max(self._rule(self.serving, self.config), default=None)


class LifeCycle(RuleBasedStateMachine):
    """A repository of one model, and what should serve of it."""

    def __init__(self) -> None:
        super().__init__()
        self.log = capture_logs()
        self.log.__enter__()
        self.temporary = TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.engine = Engine(1)
        bounds = bounds_of(Settings(calibration_ms=0))
        self.repository = Repository(self.folder, self.engine, Metrics(), bounds)
        self.repository.start()
        assert self.repository._scanned.wait(TIMEOUT_S)
        self.expected = Expected()
        self.num_written = 0

    def teardown(self) -> None:
        self.repository.close()
        self.engine.close()
        self.temporary.cleanup()
        self.log.__exit__(None, None, None)

    def apply(self, change: Change) -> ServiceError | None:
        try:
            self.repository.apply(change).result(TIMEOUT_S)
        except ServiceError as error:
            return error
        return None

    @initialize(good=st.lists(st.booleans(), max_size=3))
    def begin(self, good: list[bool]) -> None:
        """Begin with some versions."""
        for version, is_good in enumerate(good, start=1):
            self.write(version, is_good)

    @rule(version=versions, good=st.booleans())
    def write(self, version: int, good: bool) -> None:
        """Put a version there, in place of what is."""
        self.num_written += 1
        contents = f"contents {self.num_written}"
        shutil.rmtree(self.folder / MODEL / str(version), ignore_errors=True)
        manifest = sum_manifest(GRAPH, name=MODEL, version=str(version), family=contents)
        folder = write_bundle(self.folder, manifest, GRAPH)
        if not good:
            (folder / GRAPH_FILE).write_bytes(b"no graph")
        self.expected.files[version] = (contents, good)

    @rule(version=versions)
    def remove(self, version: int) -> None:
        """Take a version away."""
        shutil.rmtree(self.folder / MODEL / str(version), ignore_errors=True)
        self.expected.files.pop(version, None)

    @rule(config=configs)
    def load(self, config: dict[str, Any]) -> None:
        """Load by a request."""
        error = self.apply(Load(MODEL, json.dumps(config)))
        if not self.expected.files:
            assert isinstance(error, ModelNotFoundError)
            return
        refused = self.expected.settle(config, is_strict=True)
        assert isinstance(error, BundleRefusedError) if refused else error is None

    @rule()
    def unload(self) -> None:
        """Unload by a request."""
        was_known = any(entry.name == MODEL for entry in self.repository.index())
        error = self.apply(Unload(MODEL))
        assert isinstance(error, ModelNotFoundError) if not was_known else error is None
        if was_known:
            self.expected.serving, self.expected.is_unloaded = {}, True

    @rule()
    def look(self) -> None:
        """Have the changes of the folder found and applied."""
        self.repository._look()
        self.repository._look()
        if not self.expected.is_unloaded:
            if not self.expected.files:
                self.expected.serving, self.expected.config = {}, {}
            self.expected.settle(self.expected.config, is_strict=False)

    @invariant()
    def serves_what_it_should(self) -> None:
        found = self._found(lambda: self.repository.versions(MODEL)) or []
        families = {int(v): self.repository.get(MODEL, v).labels[3] for v in found}
        assert families == self.expected.serving
        ready = {int(e.version) for e in self.repository.index() if e.state == "READY"}
        assert ready == families.keys()
        default = self._found(lambda: int(self.repository.get(MODEL).version))
        assert default == self.expected.default
        assert len(self.engine._schedulers) == len(families), "something was not freed"

    def _found(self, look: Callable[[], Any]) -> Any:
        try:
            return look()
        except (ModelNotFoundError, ModelNotReadyError):
            return None


class Longer(LifeCycle):
    """The same, more often."""


TestLifeCycle = LifeCycle.TestCase
TestLifeCycle.settings = settings(max_examples=4, stateful_step_count=12, deadline=None)
TestLonger = pytest.mark.deep(pytest.mark.timeout(300)(Longer.TestCase))
TestLonger.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
