"""The comparison's machinery: who is awake, who is believed, and what stays of a failure."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.generator import Load
from benchmarks.results import Part, read_part
from benchmarks.servers.fleet import Fleet, StartError
from benchmarks.servers.processes import PROC
from benchmarks.session import Session
from benchmarks.workload import Pool, draw_sequences
from tests.benchmarks.made import Zero, zero_repository
from tests.servers import wait_until

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="the generator is compiled by gcc")

POOL = Pool("few", [[sequence] for sequence in draw_sequences([4, 40])])
LOAD = Load(2, seconds=0.2, warmup_s=0.0)


def state(pid: int) -> str:
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def contestants() -> list[Zero]:
    return [
        Zero(),
        Zero("other", "other"),
        Zero("impatient", "impatient", pausable=False),
        Zero("wrong", "wrong", ("--wrong",)),
        Zero("gone", "gone", absent="not installed"),
        Zero("dies", "dies", ("--die",)),
    ]


@pytest.fixture
def fleet(tmp_path: Path, contestants: list[Zero]) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, contestants)
    yield fleet
    fleet.close()


@pytest.fixture
def session(tmp_path: Path, contestants: list[Zero]) -> Iterator[Session]:
    repository = zero_repository(tmp_path / "repository")
    results, scratch = tmp_path / "results", tmp_path / "scratch"
    scratch.mkdir()
    session = Session(repository, list(contestants), results, scratch, rounds=1, seconds=0.2)
    yield session
    session.fleet.close()


def test_only_one_server_is_awake(fleet: Fleet, contestants: list[Zero]) -> None:
    zero, other = contestants[:2]
    first = fleet.wake(zero)
    fleet.wake(other)
    wait_until(lambda: state(fleet.pid(zero)) == "T")  # it may be on a core still
    assert fleet.wake(zero) == first
    wait_until(lambda: state(fleet.pid(other)) == "T")
    assert zero.starts == other.starts == 1


def test_who_can_not_be_stopped_where_it_stands_is_started_again(
    fleet: Fleet, contestants: list[Zero]
) -> None:
    zero, _, impatient = contestants[:3]
    fleet.wake(impatient)
    pid = fleet.pid(impatient)
    fleet.wake(zero)
    assert not (PROC / str(pid)).exists()
    fleet.wake(impatient)
    assert impatient.starts == 2


def test_a_server_that_died_while_it_rested_gets_a_second_start(
    fleet: Fleet, contestants: list[Zero]
) -> None:
    zero, other = contestants[:2]
    fleet.wake(zero)
    fleet.wake(other)
    os.kill(fleet.pid(zero), signal.SIGKILL)
    fleet.wake(zero)
    assert zero.starts == 2


def test_nothing_is_left_of_a_closed_fleet(fleet: Fleet, contestants: list[Zero]) -> None:
    pids = []
    for contestant in contestants[:2]:
        fleet.wake(contestant)
        pids.append(fleet.pid(contestant))
    fleet.close()
    assert not any((PROC / str(pid)).exists() for pid in pids)


def test_a_server_that_is_not_installed_says_so(fleet: Fleet, contestants: list[Zero]) -> None:
    with pytest.raises(StartError, match="not installed"):
        fleet.wake(contestants[4])


def test_a_server_that_ends_at_once_says_so(fleet: Fleet, contestants: list[Zero]) -> None:
    with pytest.raises(StartError, match="ended with 3"):
        fleet.wake(contestants[5])


def test_failures_are_recorded_and_the_rest_is_measured(
    session: Session, contestants: list[Zero]
) -> None:
    part = session.part("closed")
    for contestant in contestants[:5]:
        session.measure(part, contestant, "lstm", POOL, "case", LOAD)
    written = read_part(session.results, "closed")
    assert written.measured("case") == ["zero", "other", "impatient"]
    assert "off by 9" in written.contestants["wrong"]["failed"]["lstm"]
    assert "not installed" in written.contestants["gone"]["failed"]["lstm"]
    assert written.contestants["zero"]["worst_error"] == {"lstm-few": 0.0}
    (record,) = [r for r in written.records if r["contestant"] == "zero"]
    assert record["throughput"] > 0
    assert not record["errors"]


def test_a_later_run_replaces_only_what_it_measured(tmp_path: Path) -> None:
    part = Part(tmp_path / "closed.json")
    for run in ("first", "second"):
        part.runs[run] = {}
        part.add({"contestant": "a", "case": "x", "run": run, "throughput": 1.0})
        part.add({"contestant": "a", "case": "x", "run": run, "throughput": 3.0})
    part.runs["third"] = {}
    part.add({"contestant": "b", "case": "x", "run": "third", "throughput": 5.0})
    written = read_part(tmp_path, "closed")
    assert written.values("a", "x", "throughput") == [1.0, 3.0]
    assert written.median("a", "x", "throughput") == 2.0
    assert written.median("a", "y", "throughput") is None
    assert [record["run"] for record in written.records] == ["second", "second", "third"]
    assert written.runs.keys() == {"second", "third"}
