"""The cache of results: what was put comes back, whole, within its bytes, the least used out."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from service.cache import ENTRY_BYTES, RESULT_BYTES, ResultCache, cache_key
from service.graphs.model import Arrays
from service.manifest import Precision
from service.repository.served import Served
from service.telemetry.parts.cache import CacheMetrics
from tests.engine.harness import Observed
from tests.fakes import Steps, SumModel, make_manifest, make_sequence, task_of_manifest

keys = st.integers(0, 12).map(lambda number: b"%d" % number)
steps = st.lists(
    st.one_of(st.tuples(keys, st.none()), st.tuples(keys, st.integers(1, 200))), max_size=60
)


def results(size: int) -> Arrays:
    arrays: Arrays = {"logits": np.full(size, size, dtype=np.float32)}
    return arrays | ({"weights": np.arange(size, dtype=np.float32)} if size % 2 else {})


def held_bytes(size: int) -> int:
    return ENTRY_BYTES + (RESULT_BYTES + 4 * size) * (2 if size % 2 else 1)


class Counted:
    """A cache with its metrics."""

    def __init__(self, max_bytes: int) -> None:
        self._registry = CollectorRegistry()
        self.cache = ResultCache(max_bytes, CacheMetrics(self._registry))

    def __call__(self, result: str) -> float | None:
        labels = {"result": result}
        return self._registry.get_sample_value("seqserve_cache_requests_total", labels)

    @property
    def bytes(self) -> float:
        held = self._registry.get_sample_value("seqserve_cache_bytes")
        assert held is not None
        return held


@given(st.integers(0, 5_000), steps)
def test_against_a_plain_model(max_bytes: int, asked: list[tuple[bytes, int | None]]) -> None:
    counted = Counted(max_bytes)
    model: OrderedDict[bytes, int] = OrderedDict()
    hits = misses = 0
    for key, size in asked:
        if size is None:
            found = counted.cache.get(key)
            assert (found is not None) == (key in model)
            if found is None:
                misses += 1
                continue
            hits += 1
            model.move_to_end(key)
            assert repr(found) == repr(results(model[key]))
        else:
            counted.cache.put(key, results(size))
            if held_bytes(size) <= max_bytes:
                model.pop(key, None)
                while sum(map(held_bytes, model.values())) + held_bytes(size) > max_bytes:
                    model.popitem(last=False)
                model[key] = size
        assert counted.bytes == sum(map(held_bytes, model.values())) <= max_bytes
    assert (counted("hit"), counted("miss")) == (hits, misses)


def test_what_is_held_is_no_view() -> None:
    counted = Counted(10_000)
    batch = np.ones((100, 4), dtype=np.float32)
    counted.cache.put(b"key", {"logits": batch[0]})
    batch[:] = 2
    held = counted.cache.get(b"key")
    assert held is not None
    assert held["logits"].tolist() == [1] * 4
    assert held["logits"].base is None


sequences = st.lists(st.lists(st.integers(0, 98), min_size=1, max_size=4), min_size=1, max_size=3)


def key_of(asked: list[Steps], precision: Precision = "fp32", **changes: Any) -> bytes:
    """The key of these sequences, asked of a model with these changes."""
    manifest = make_manifest(**changes)
    scheduler = Observed(SumModel(manifest)).scheduler
    served = Served.of_bundle(task_of_manifest(manifest), scheduler, precision)
    return cache_key(served, asked)


@given(sequences, sequences)
def test_keys_are_alike_just_for_the_same_sequences(
    first: list[list[int]], second: list[list[int]]
) -> None:
    one, other = (key_of([make_sequence(values) for values in drawn]) for drawn in (first, second))
    assert (one == other) == (first == second)


@pytest.mark.parametrize(
    "changes", [{"version": "2"}, {"name": "other"}, {"sha256": "1" * 64}, {"precision": "int8"}]
)
def test_another_model_version_graph_or_precision_is_another_key(changes: dict[str, Any]) -> None:
    asked = [make_sequence([1, 2, 3])]
    assert key_of(asked) != key_of(asked, **changes)


def test_a_view_has_the_key_of_its_values() -> None:
    padded = np.zeros((2, 5, 2), dtype=np.float32)
    padded[1, :3] = make_sequence([1, 2, 3])
    views = (key_of([padded[1, :3]]), key_of([np.asfortranarray(padded[1, :3])]))
    assert set(views) == {key_of([make_sequence([1, 2, 3])])}
