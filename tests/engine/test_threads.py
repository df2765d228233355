"""Cores are counted by the cgroup's quota and the affinity, whichever is less."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.engine.threads import available_cores, worker_cores


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def version_2(folder: Path, text: str) -> Path:
    (folder / "cpu.max").write_text(text)
    return folder


def version_1(folder: Path, quota: str, period: str) -> Path:
    (folder / "cpu").mkdir()
    (folder / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu" / "cpu.cfs_period_us").write_text(period)
    return folder


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("25000 50000\n", 1),
        ("1600000 100000\n", 8),
        ("0 100000\n", 8),
        ("100000 0\n", 8),
        ("nonsense\n", 8),
        ("many 100000\n", 8),
        ("", 8),
    ],
)
def test_version_2(tmp_path: Path, text: str, cores: int) -> None:
    assert available_cores(version_2(tmp_path, text)) == list(range(cores))


@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [("-1\n", "100000\n", 8), ("300000\n", "100000\n", 3), ("10000\n", "100000\n", 1)],
)
def test_version_1(tmp_path: Path, quota: str, period: str, cores: int) -> None:
    assert available_cores(version_1(tmp_path, quota, period)) == list(range(cores))


def test_version_2_goes_before_version_1(tmp_path: Path) -> None:
    version_1(tmp_path, "500000", "100000")
    assert available_cores(version_2(tmp_path, "300000 100000")) == [0, 1, 2]


def test_without_a_cgroup_the_affinity_counts(tmp_path: Path) -> None:
    assert available_cores(tmp_path) == list(range(8))


def test_a_system_without_affinity_counts_its_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert available_cores(tmp_path) == list(range(5))
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores(tmp_path) == [0]


@pytest.mark.parametrize(("workers", "cores"), [(1, 8), (2, 8), (3, 8), (8, 8), (3, 2)])
def test_every_core_has_a_worker_and_every_worker_its_own(
    tmp_path: Path, workers: int, cores: int
) -> None:
    quota = version_2(tmp_path, f"{cores}00000 100000")
    shares = [worker_cores(workers, index, quota) for index in range(workers)]
    sizes = [len(share) for share in shares]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    held = [core for share in shares for core in share]
    assert set(held) == set(range(cores))
    assert len(held) == max(workers, cores)
