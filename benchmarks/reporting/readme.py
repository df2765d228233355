"""README's table of the race: Seqserve's throughput against the best peer's and Triton's."""

from __future__ import annotations

from pathlib import Path

from benchmarks.reporting.tables import number, table
from benchmarks.reporting.targets import OURS, Parts, against_peer, best_peer

BEGIN, END = "<!-- race:begin -->", "<!-- race:end -->"
CASES = {
    "lstm var c64": "LSTM, mixed lengths",
    "lstm f64 c64": "LSTM, 64 steps each",
    "bigru var c64": "BiGRU, mixed lengths",
    "transformer var c64": "Transformer, mixed lengths",
}


def race_table(parts: Parts) -> str:
    """A row for each case and wire; empty without measurements."""
    rows = []
    for case, says in CASES.items():
        for wire, ours in OURS.items():
            rate = parts["closed"].median(ours, case, "throughput")
            best = best_peer(parts["closed"], case, wire)
            by_best = against_peer(ours, case)(parts)
            by_triton = against_peer(ours, case, f"triton-{wire}")(parts)
            if rate and by_best and by_triton:
                rows.append(
                    [
                        says,
                        "JSON" if wire == "json" else wire,
                        number(rate),
                        f"{by_best.value:.2f} ({best})",
                        f"{by_triton.value:.2f}",
                    ]
                )
    head = ["64 connections", "wire", "Seqserve, requests/s", "/ best peer", "/ Triton"]
    return table(head, rows) if rows else ""


def write_race(readme: Path, parts: Parts) -> None:
    """Put the table between the README's markers.

    Raises:
        ValueError: The markers are missing.
    """
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme} needs the line {BEGIN} and after it {END}")
    readme.write_text(f"{before}{BEGIN}\n{race_table(parts)}{END}{after}")
