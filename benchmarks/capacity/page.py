"""The measured part of docs/scaling.md, written from the results."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.capacity.measure import STEPS, TYPICAL_STEPS
from benchmarks.capacity.queueing import calibrated, latencies_s, mean_bound_s

PAGE = Path("docs/scaling.md")
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
RATES = (1e4, 1e5, 1e6)
USED_SHARE = 0.65
MAX_DRIFT = 0.2
REPLICA_CORES = 8
TYPICAL_BYTES_PER_STEP = 160

Result = dict[str, Any]


def write(results: Result) -> None:
    """Put the tables in their place."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + render(results) + END + after)


def render(results: Result) -> str:
    """All tables."""
    servers = [{**server, "rounds": steady(server["rounds"])} for server in results["servers"]]
    drifts = [abs(one["drift"] - 1) for server in servers for one in server["rounds"]]
    machine = results["machine"]
    whole = sum(len(server["rounds"]) for server in results["servers"])
    return "\n".join(
        [
            f"Measured {results['utc']} on {machine['cpu']}, {machine['cores']} cores, "
            f"{results['rounds']} rounds of {results['seconds']:g} s a measurement, other work on "
            f"the machine. Rounds in which capacity changed by more than {MAX_DRIFT:.0%} are left "
            f"out: {len(drifts)} of {whole} count, in which it changed by {np.median(drifts):.0%} "
            f"(median; at most {max(drifts):.0%}). So much is the machine's own doing.",
            "",
            "### Cost",
            "",
            *cost_table(servers),
            "",
            "### The model against measurements",
            "",
            *check_table(servers),
            "",
            "### What it predicts",
            "",
            *prediction_table(servers),
            "",
        ]
    )


def steady(rounds: list[Result]) -> list[Result]:
    """Those in which the machine stayed as it was, or else the one that comes nearest."""

    def change(one: Result) -> float:
        return float(abs(one["drift"] - 1))

    return [one for one in rounds if change(one) <= MAX_DRIFT] or [min(rounds, key=change)]


def median(values: Iterable[float]) -> float:
    """Of the rounds."""
    return float(np.median(list(values)))


def cpu_by_length(server: Result) -> list[float]:
    """CPU s of a request of each of the measured lengths."""
    return [
        median(one["cpu_s_by_steps"][str(steps)] for one in server["rounds"]) for steps in STEPS
    ]


def cpu_line(seconds: list[float]) -> str:
    """What a request takes and what each of its steps does: the line through the lengths.

    There is none where a step takes the longer the more there are of them, as with attention.
    """
    weights = 1 / np.array(seconds)  # relative errors count
    slope, offset = np.polyfit(STEPS, seconds, 1, w=weights)
    return "" if offset < 0 else f"{1e6 * offset:.0f} + {1e6 * slope:.2f} a step"


def cost_table(servers: list[Result]) -> list[str]:
    """CPU time, at saturation."""
    lengths = "".join(f" {steps} steps, µs |" for steps in STEPS)
    rows = [
        f"| model | cores | CPU a request of{lengths} as a line | requests/s at "
        f"{TYPICAL_STEPS} steps | mean batch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for server in servers:
        seconds = cpu_by_length(server)
        full = [one["full"] for one in server["rounds"]]
        rows.append(
            f"| {server['model']} | {server['cores']} | "
            f"{' | '.join(f'{1e6 * value:.0f}' for value in seconds)} | {cpu_line(seconds)} "
            f"| {median(it['throughput'] for it in full):.0f} "
            f"| {median(it['batch'] for it in full):.1f} |"
        )
    return rows


def check_table(servers: list[Result]) -> list[str]:
    """Measured quantiles of latency beside the model's, both in units of a request alone."""
    rows = [
        "| model | cores | load | p50 measured | model | p90 measured | model | p99 measured "
        "| model | mean, bound |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for server in servers:
        for place, load in enumerate(server["rounds"][0]["loads"]):
            pairs = [_compare(server["cores"], one, place) for one in server["rounds"]]
            measured, model = (np.median([pair[i] for pair in pairs], axis=0) for i in (0, 1))
            bound = median(pair[2] for pair in pairs)
            cells = [f"{was:.2f} | {said:.2f}" for was, said in zip(measured, model, strict=True)]
            shown = f"{bound:.2f}" if server["cores"] == 1 else ""
            rows.append(
                f"| {server['model']} | {server['cores']} | {load['share']:.0%} "
                f"| {' | '.join(cells)} | {shown} |"
            )
    return rows


def _compare(cores: int, one: Result, place: int) -> tuple[list[float], list[float], float]:
    """Quantiles as measured, and by the model of the same round's alone and full."""
    alone_s, load = one["alone"]["p50_s"], one["loads"][place]
    cost = calibrated(cores, alone_s, one["full"]["throughput"], one["full"]["batch"])
    said_s = np.quantile(latencies_s(cost, load["rate"]), [0.5, 0.9, 0.99])
    measured = [load[f"{name}_s"] / alone_s for name in ("p50", "p90", "p99")]
    bound = mean_bound_s(cost, load["rate"]) / alone_s if cores == 1 else math.nan
    return measured, [float(value) / alone_s for value in said_s], bound


def prediction_table(servers: list[Result]) -> list[str]:
    """Cores and replicas for each rate; of the servers with the most cores."""
    most = max(server["cores"] for server in servers)
    rows = [
        f"Requests of one sequence of {TYPICAL_STEPS} steps; {USED_SHARE:.0%} of the cores' time "
        f"used, replicas of {REPLICA_CORES} cores, one more than needed (N+1).",
        "",
        "| model | requests/s | cores that compute | cores with headroom | replicas, N+1 "
        "| in, Gbit/s |",
        "|---|---|---|---|---|---|",
    ]
    for server in servers:
        if server["cores"] != most:
            continue
        request_s = cpu_by_length(server)[STEPS.index(TYPICAL_STEPS)]
        for rate in RATES:
            busy = rate * request_s
            replicas = int(np.ceil(busy / USED_SHARE / REPLICA_CORES)) + 1
            gigabits = rate * TYPICAL_STEPS * TYPICAL_BYTES_PER_STEP * 8 / 1e9
            rows.append(
                f"| {server['model']} | {rate:,.0f} | {busy:,.1f} | {busy / USED_SHARE:,.0f} "
                f"| {replicas:,} | {gigabits:.2g} |"
            )
    return rows
