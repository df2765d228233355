"""The report: targets computed from records, and no figure where nothing was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report import sections
from benchmarks.reporting.picture import draw
from benchmarks.reporting.targets import Parts, targets
from benchmarks.results import PARTS, Part

RUN = "2026-01-01T00:00:00Z"
MEASURED = {"p50": 5.0, "p99": 9.0, "generator_cpu_s": 0.1, "seconds": 1.0, "server_cpu_s": 1.0,
            "answers": 10, "server_mib": 50.0, "errors": 0, "unanswered": 0, "dropped": 0,
            "refused": {}, "utc": RUN, "run": RUN}  # fmt: skip


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    parts = {name: Part(tmp_path / f"{name}.json") for name in PARTS}
    for part in parts.values():
        part.runs[RUN] = {"machine": {"cpu": "one"}, "options": {"rounds": 2, "seconds": 1.0}}
    return parts


def enter(
    part: Part, name: str, case: str, throughputs: list[float], server: str = "peer", **more: float
) -> None:
    wire = "binary" if "binary" in name else "json"
    part.contestants[name] = {"server": server, "wire": wire, "settings": "none"}
    for throughput in throughputs:
        part.add({"contestant": name, "case": case, "throughput": throughput, **MEASURED, **more})


def found(parts: Parts) -> dict[str, tuple[float, float, float, bool]]:
    figures = {}
    for target in targets():
        if figure := target.figure(parts):
            met = target.met(figure)
            figures[target.name] = (figure.value, figure.low, figure.high, met)
    return figures


def test_a_ratio_is_that_of_medians_against_the_best_peer_of_the_wire(parts: Parts) -> None:
    case = "lstm var c64"
    enter(parts["closed"], "seqserve", case, [150.0, 160.0, 240.0], "seqserve")
    enter(parts["closed"], "slow", case, [20.0, 20.0, 20.0])
    enter(parts["closed"], "good", case, [100.0, 80.0, 120.0])
    enter(parts["closed"], "good-binary", case, [500.0])
    name = "log-normal lengths, 64 connections: throughput / best JSON peer"
    assert found(parts) == {name: (1.6, 1.5, 2.0, True)}


def test_an_open_loop_is_judged_at_the_best_peers_rate(parts: Parts) -> None:
    enter(parts["closed"], "good", "lstm var c64", [100.0])
    enter(parts["closed"], "slow", "lstm var c64", [50.0])
    for peer, latency in (("good", 10.0), ("slow", 90.0)):
        case = f"lstm var at 70% of {peer}"
        enter(parts["open_loop"], peer, case, [70.0], p99=latency, short_p99=8.0)
        enter(parts["open_loop"], "seqserve", case, [70.0], "seqserve", p99=6.0, short_p99=2.0)
    figures = found(parts)
    tail = "open loop at 70 % of the peer's capacity:"
    assert figures[f"{tail} p99 / best peer's, json"] == (0.6, 0.6, 0.6, False)
    short = figures[f"{tail} p99 of ≤ 32 steps / best peer's, json"]
    assert short == (0.25, 0.25, 0.25, True)


def test_b32_counts_sequences(parts: Parts) -> None:
    enter(parts["closed"], "seqserve-binary", "lstm b32 c2", [10.0], "seqserve")
    enter(parts["limit"], "in-process limit", "lstm f64", [400.0], single_ms=0.5)
    assert found(parts) == {
        "32 sequences a request, binary: / in-process limit": (0.8, 0.8, 0.8, False)
    }


def test_memory_a_model_is_what_ninety_nine_more_take(parts: Parts) -> None:
    enter(parts["scaling"], "seqserve", "loaded 1", [10.0], "seqserve", server_mib=60.0)
    enter(parts["scaling"], "seqserve", "loaded 100", [10.0], "seqserve", server_mib=258.0)
    figures = found(parts)
    assert figures["memory a model"][0] == 2.0
    assert figures["100 models loaded, one used: throughput / 1 loaded"][0] == 1.0


def test_a_report_can_be_made_of_nothing_and_of_some(parts: Parts, tmp_path: Path) -> None:
    assert "not measured" in "\n".join(sections(parts))
    for case in ("lstm var c1", "lstm var c64"):
        enter(parts["closed"], "seqserve", case, [150.0, 170.0], "seqserve")
    text = "\n".join(sections(parts))
    assert "| seqserve | 160 (150..170) | 160 (150..170) |" in text
    draw(parts, tmp_path / "images" / "picture.svg")
    drawn = (tmp_path / "images" / "picture.svg").read_bytes()
    draw(parts, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == drawn
