"""The comparison's report, from the parts as they stand: `python -m benchmarks.report`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from benchmarks.parts import closed
from benchmarks.reporting import tables
from benchmarks.reporting.picture import draw
from benchmarks.reporting.readme import write_race
from benchmarks.reporting.tables import figure, table
from benchmarks.reporting.targets import Parts, targets
from benchmarks.results import FOLDER, PARTS, read_part

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "images" / "throughput.svg"

HEAD = """# Seqserve and its peers, side by side

Written by `python -m benchmarks.report` from what `make bench` measured; do not edit.

The LSTM has 2 layers, hidden 128, 16 features, 10 classes; the BiGRU and the Transformer are of
like size (`benchmarks/graphs.py`). Every contestant serves the same graphs by onnxruntime on the
same cores, and so does the load generator, whose share is shown. All answers of a contestant are
held against onnxruntime alone before it is measured: every logit within 1e-4 of what the graph
(int8: the int8 graph) gives for that sequence by itself. Rounds are interleaved in rotated order
while everybody else is stopped. A figure is the median over the rounds (lowest..highest). f64: 64
steps; var: log-normal lengths, 8..256 steps, median 40; b32: 32 sequences of 64 steps a request; c:
connections. Read ratios: the absolute figures are this machine's.
"""


def main() -> None:
    """Write the report, draw the picture, bring README's table up to the committed run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the parts' files")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    parts = {name: read_part(arguments.results, name) for name in PARTS}
    report = arguments.results / "REPORT.md"
    report.write_text("\n".join(sections(parts)))
    draw(parts, arguments.picture)
    if arguments.results == FOLDER:
        write_race(ROOT / "README.md", parts)
    print(f"{report}\n{arguments.picture}")


def sections(parts: Parts) -> Iterator[str]:
    """The report's, one after the other; those without measurements are left out."""
    yield HEAD
    yield "## Targets\n"
    yield targets_table(parts)
    race = parts["closed"]
    if race.records:
        cases = [case.name for case in closed.CASES]
        yield "## Closed loop: requests a second\n"
        yield tables.by_case(race, cases, "throughput")
        yield "## Closed loop: latency, p50 / p99 in ms\n"
        yield tables.latencies(race, cases)
        yield "## Closed loop: what it cost\n"
        yield tables.costs(race, "lstm var c64")
    yield from tables.limits(parts["limit"])
    yield from tables.open_loop(parts["open_loop"])
    yield from tables.overload(parts["overload"])
    yield from tables.scaling(parts["scaling"])
    yield from tables.footprint(parts["footprint"])
    yield "## Who took part\n"
    yield tables.contestants(race)
    yield "## When and where\n"
    yield tables.runs(list(parts.values()))


def targets_table(parts: Parts) -> str:
    """Each target with its figure, and whether it is met."""
    rows = []
    for target in targets():
        found = target.figure(parts)
        wanted = f"{target.sign} {target.bound:.3g}{target.unit}"
        if found is None:
            rows.append([target.name, wanted, "not measured", "", ""])
            continue
        verdict = "met" if target.met(found) else "**missed**"
        shown = figure([found.value, found.low, found.high]) + target.unit
        rows.append([target.name, wanted, shown, found.what, verdict])
    return table(["target", "wanted", "measured", "of", ""], rows)


if __name__ == "__main__":
    main()
