"""The report's tables, each from one part's records."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.parts.limit import CONTESTANT as LIMIT
from benchmarks.results import Part


def table(head: list[str], rows: list[list[str]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def number(value: float) -> str:
    """Three digits that matter, thousands with a comma."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}"


def figure(values: list[float]) -> str:
    """Median and spread."""
    if not values:
        return "-"
    middle, low, high = float(np.median(values)), min(values), max(values)
    if number(low) == number(high):
        return number(middle)
    return f"{number(middle)} ({number(low)}..{number(high)})"


def by_case(part: Part, cases: list[str], quantity: str) -> str:
    """A row for each contestant, a column for each case."""
    cases = [case for case in cases if case in part.cases()]
    rows = [
        [name, *(figure(part.values(name, case, quantity)) for case in cases)]
        for name in part.contestants
    ]
    return table(["", *cases], rows)


def latencies(part: Part, cases: list[str]) -> str:
    """Medians of p50 and p99."""
    cases = [case for case in cases if case in part.cases()]

    def cell(name: str, case: str) -> str:
        p50, p99 = (part.median(name, case, quantity) for quantity in ("p50", "p99"))
        return "-" if p50 is None or p99 is None else f"{number(p50)} / {number(p99)}"

    rows = [[name, *(cell(name, case) for case in cases)] for name in part.contestants]
    return table(["", *cases], rows)


def costs(part: Part, case: str) -> str:
    """CPU of the server and of the generator, and memory, in one case."""
    rows = []
    for name in part.measured(case):
        records = [r for r in part.records if r["contestant"] == name and r["case"] == case]
        share = [100 * r["generator_cpu_s"] / r["seconds"] for r in records]
        bad = sum(r["errors"] + r["unanswered"] + sum(r["refused"].values()) for r in records)
        cpu_ms = [1_000 * r["server_cpu_s"] / r["answers"] for r in records if r["answers"]]
        memory = figure([r["server_mib"] for r in records])
        rows.append([name, figure(cpu_ms), memory, figure(share), str(bad)])
    head = ["server's CPU, ms an answer", "resident MiB", "generator's CPU, % of a core"]
    head.append("requests not answered well")
    return f"In the case {case}.\n\n" + table(["", *head], rows)


def limits(part: Part) -> Iterator[str]:
    """onnxruntime alone."""
    if not part.records:
        return
    yield "## The limit: onnxruntime in-process, both cores\n"
    sizes = list(part.records[0]["rates"])
    rows = []
    for case in part.cases():
        of_case = [r for r in part.records if r["case"] == case]
        rates = [figure([r["rates"][size] for r in of_case]) for size in sizes]
        single = figure(part.values(LIMIT, case, "single_ms"))
        rows.append([case, figure(part.values(LIMIT, case, "throughput")), *rates, single])
    head = ["sequences/s, best", *(f"batches of {size}" for size in sizes), "one sequence, ms"]
    yield table(["", *head], rows)


def open_loop(part: Part) -> Iterator[str]:
    """Ours and a peer at the very same arrivals."""
    if not part.records:
        return
    yield "## Open loop, Poisson arrivals: p99 in ms, from the scheduled arrival\n"
    rows = []
    for case in part.cases():
        for name in part.measured(case):
            cells = [figure(part.values(name, case, q)) for q in ("p50", "p99", "short_p99")]
            rows.append([case, name, figure(part.values(name, case, "throughput")), *cells])
    head = ["arrivals", "asked", "answers/s", "p50", "p99", "p99 of ≤ 32 steps"]
    yield table(head, rows)


def overload(part: Part) -> Iterator[str]:
    """What a flood leaves of the goodput."""
    if not part.records:
        return
    yield "## Overload\n"
    quantities = ("throughput", "goodput", "p50", "p99", "refused_p50")
    rows = []
    for case in part.cases():
        for name in part.measured(case):
            records = [r for r in part.records if r["contestant"] == name and r["case"] == case]
            share = [100 * r["generator_cpu_s"] / r["seconds"] for r in records]
            refused = [sum(r["refused"].values()) / r["seconds"] for r in records]
            dropped = [r["dropped"] / r["seconds"] for r in records]
            cells = [figure(part.values(name, case, quantity)) for quantity in quantities]
            rows.append([case, name, *cells, figure(refused), figure(dropped), figure(share)])
    head = ["answers/s", "in time/s", "p50 ms", "p99 ms", "p50 of a refusal ms", "refused/s"]
    yield table(["", "asked", *head, "dropped/s", "generator, % of a core"], rows)
    yield (
        "Dropped: arrivals that found all connections busy. The generator runs on the same cores: "
        "what it takes under the flood, the server has not.\n"
    )


def scaling(part: Part) -> Iterator[str]:
    """What a request costs, along each axis."""
    if not part.records:
        return
    yield "## Scaling: cost of a request\n"
    rows = []
    for case in part.cases():
        for name in part.measured(case):
            rates = part.values(name, case, "throughput")
            if not rates:
                continue
            micros = [1e6 / rate for rate in rates if rate]
            extra = [part.values(name, case, quantity) for quantity in ("p99", "server_mib")]
            rows.append([case, name, figure(rates), figure(micros), *map(figure, extra)])
    yield table(["", "asked", "requests/s", "µs a request", "p99 ms", "resident MiB"], rows)
    starts = [c for c in part.cases() if c.startswith("start ")]
    rows = [[c, figure(part.values(n, c, "ready_s"))] for c in starts for n in part.measured(c)]
    yield table(["", "s to ready"], rows)


def footprint(part: Part) -> Iterator[str]:
    """Start and memory."""
    if not part.records:
        return
    yield "## Footprint: `python -m service` with the bundled models\n"
    rows = [
        [case, *(figure(part.values(name, case, q)) for q in ("ready_s", "server_mib"))]
        for case in part.cases()
        for name in part.measured(case)
    ]
    yield table(["", "s to ready", "resident MiB"], rows)


def contestants(part: Part) -> str:
    """Settings and versions; why one failed."""
    rows = []
    for name, about in part.contestants.items():
        versions = ", ".join(f"{k} {v}" for k, v in (about.get("versions") or {}).items())
        failures = "; ".join(f"{k}: {v}" for k, v in about.get("failed", {}).items())
        failures = " ".join(failures.split()).replace("|", "/")[:300]
        errors = [f"{error:.0e}" for error in about.get("worst_error", {}).values()]
        worst = max(errors, key=float) if errors else "-"
        rows.append([name, about["wire"], about["settings"], versions, worst, failures])
    return table(["", "wire", "settings", "versions", "worst error", "failed"], rows)


def runs(parts: list[Part]) -> str:
    """Which run each part's records come from."""
    rows = []
    for part in parts:
        for run, about in part.runs.items():
            records = [r for r in part.records if r["run"] == run]
            if not records:
                continue
            machine, options = about["machine"], about["options"]
            when = f"{records[0]['utc']} to {records[-1]['utc']}"
            where = ", ".join(f"{key} {value}" for key, value in machine.items())
            how = f"{options['rounds']} rounds, {options['seconds']:g} s a measurement"
            rows.append([part.name, when, str(len(records)), how, where])
    return table(["part", "measured", "records", "how", "machine"], rows)
