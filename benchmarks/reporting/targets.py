"""The targets of the engine's issue, each computed from the measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.parts.limit import CONTESTANT as LIMIT
from benchmarks.parts.open_loop import case_name
from benchmarks.parts.overload import DEADLINE_S, capacity_case, overload_case
from benchmarks.results import Part

JSON, BINARY, INT8 = "seqserve", "seqserve-binary", "seqserve-int8-binary"
OURS = {"json": JSON, "binary": BINARY}
FIXED, MIXED = "lstm f64 c64", "lstm var c64"

Parts = dict[str, Part]


@dataclass(frozen=True)
class Figure:
    """A number with its spread over the rounds, and what it was made of."""

    value: float
    low: float
    high: float
    what: str


@dataclass(frozen=True)
class Target:
    """One line of the table: `figure` must be at least `bound`, or at most."""

    name: str
    sign: str
    bound: float
    unit: str
    figure: Callable[[Parts], Figure | None]

    def met(self, figure: Figure) -> bool:
        """Whether the figure satisfies it."""
        return figure.value >= self.bound if self.sign == "≥" else figure.value <= self.bound


def ratio(over: list[float], under: list[float], what: str) -> Figure | None:
    """Of the medians; its spread is that of the rounds' own ratios, where both have all rounds."""
    if not over or not under or not np.median(under):
        return None
    value = float(np.median(over) / np.median(under))
    rounds = [a / b for a, b in zip(over, under, strict=False) if b]
    return Figure(value, min([*rounds, value]), max([*rounds, value]), what)


def peers(part: Part, wire: str) -> list[str]:
    """The contestants of others that speak this wire."""
    return [
        name
        for name, about in part.contestants.items()
        if about["wire"] == wire and about["server"] != "seqserve"
    ]


def best_peer(part: Part, case: str, wire: str) -> str | None:
    """The peer with the highest throughput in a case."""
    medians = {name: part.median(name, case, "throughput") for name in peers(part, wire)}
    able = {name: median for name, median in medians.items() if median}
    return max(able, key=lambda name: able[name]) if able else None


def against_peer(ours: str, case: str, peer: str | None = None) -> Callable[[Parts], Figure | None]:
    """Our throughput by a peer's; by the best of the same wire if none is named."""

    def figure(parts: Parts) -> Figure | None:
        closed = parts["closed"]
        wire = "json" if ours == JSON else "binary"
        other = peer or best_peer(closed, case, wire)
        if other is None:
            return None
        over, under = (closed.values(name, case, "throughput") for name in (ours, other))
        return ratio(over, under, f"{ours} / {other}")

    return figure


def tail_against_peer(
    wire: str, quantity: str, peer: str | None = None
) -> Callable[[Parts], Figure | None]:
    """Our p99 by a peer's at 70 % of its capacity; the peer with most capacity if none is named."""

    def figure(parts: Parts) -> Figure | None:
        other = peer or best_peer(parts["closed"], MIXED, wire)
        if other is None:
            return None
        case, ours = case_name(other), OURS[wire]
        over, under = (parts["open_loop"].values(name, case, quantity) for name in (ours, other))
        return ratio(over, under, f"{ours} / {other}")

    return figure


def against_limit(ours: str, case: str, sequences: int = 1) -> Callable[[Parts], Figure | None]:
    """Our sequences a second by those of onnxruntime alone at 64 steps."""

    def figure(parts: Parts) -> Figure | None:
        rates = parts["closed"].values(ours, case, "throughput")
        limit = parts["limit"].values(LIMIT, "lstm f64", "throughput")
        return ratio([sequences * rate for rate in rates], limit, f"{ours} / limit")

    return figure


def overhead_ms(ours: str) -> Callable[[Parts], Figure | None]:
    """Of one request at a time, beyond what its sequence takes alone."""

    def figure(parts: Parts) -> Figure | None:
        latency = parts["closed"].values(ours, "lstm f64 c1", "p50")
        alone = parts["limit"].values(LIMIT, "lstm f64", "single_ms")
        if not latency or not alone:
            return None
        least = float(np.median(alone))
        values = [value - least for value in latency]
        what = f"{np.median(latency):.2f} - {least:.2f}"
        return Figure(float(np.median(values)), min(values), max(values), what)

    return figure


def single(
    part: str, contestant: str | None, case: str, quantity: str
) -> Callable[[Parts], Figure | None]:
    """One measured quantity; of whichever contestant has it if none is named."""

    def figure(parts: Parts) -> Figure | None:
        name = contestant or next(iter(parts[part].measured(case)), "")
        values = parts[part].values(name, case, quantity)
        if not values:
            return None
        return Figure(float(np.median(values)), min(values), max(values), name)

    return figure


def within(
    part: str, contestant: str | None, over: str, under: str, quantity: str = "throughput"
) -> Callable[[Parts], Figure | None]:
    """One case by another of the same contestant."""

    def figure(parts: Parts) -> Figure | None:
        name = contestant or next(iter(parts[part].measured(over)), "")
        upper = parts[part].values(name, over, quantity)
        return ratio(upper, parts[part].values(name, under, "throughput"), name)

    return figure


def memory_a_model(parts: Parts) -> Figure | None:
    """MiB that each model beyond the first takes."""
    scaling = parts["scaling"]
    name = next(iter(scaling.measured("loaded 100")), "")
    one, many = (scaling.values(name, f"loaded {n}", "server_mib") for n in (1, 100))
    if not one or not many:
        return None
    values = [(b - a) / 99 for a, b in zip(one, many, strict=False)]
    return Figure(float(np.median(values)), min(values), max(values), "(100 loaded - 1) / 99")


def targets() -> Iterator[Target]:
    """All of them, in the issue's order."""
    mixed = "log-normal lengths, 64 connections: throughput /"
    yield Target(f"{mixed} best JSON peer", "≥", 1.6, "", against_peer(JSON, MIXED))
    yield Target(f"{mixed} Triton, JSON", "≥", 2, "", against_peer(JSON, MIXED, "triton-json"))
    yield Target(f"{mixed} best binary peer", "≥", 1.6, "", against_peer(BINARY, MIXED))
    triton = against_peer(BINARY, MIXED, "triton-binary")
    yield Target(f"{mixed} Triton, binary", "≥", 2.2, "", triton)
    yield Target(f"{mixed} best binary peer, ours int8", "≥", 2.5, "", against_peer(INT8, MIXED))
    tail = "open loop at 70 % of the peer's capacity:"
    for wire in OURS:
        yield Target(
            f"{tail} p99 / best peer's, {wire}", "≤", 1 / 2, "", tail_against_peer(wire, "p99")
        )
        triton = tail_against_peer(wire, "p99", f"triton-{wire}")
        yield Target(f"{tail} p99 / Triton's, {wire}", "≤", 1 / 4, "", triton)
        short = tail_against_peer(wire, "short_p99")
        name = f"{tail} p99 of ≤ 32 steps / best peer's, {wire}"
        yield Target(name, "≤", 1 / 3, "", short)
    fixed = "64 steps, 64 connections: throughput /"
    yield Target(f"{fixed} best JSON peer", "≥", 1.0, "", against_peer(JSON, FIXED))
    yield Target(f"{fixed} best binary peer", "≥", 1.05, "", against_peer(BINARY, FIXED))
    yield Target(f"{fixed} in-process limit, binary", "≥", 0.75, "", against_limit(BINARY, FIXED))
    yield Target(f"{fixed} in-process limit, JSON", "≥", 0.6, "", against_limit(JSON, FIXED))
    b32 = against_limit(BINARY, "lstm b32 c2", 32)
    yield Target("32 sequences a request, binary: / in-process limit", "≥", 0.9, "", b32)
    for wire, ours in OURS.items():
        name = f"one connection: p50 - in-process time of one sequence, {wire}"
        yield Target(name, "≤", 0.35, " ms", overhead_ms(ours))
    for model in ("bigru", "transformer"):
        for wire, ours in OURS.items():
            figure = against_peer(ours, f"{model} var c64")
            name = f"{model}, log-normal lengths: throughput / best {wire} peer"
            yield Target(name, "≥", 2, "", figure)
    for model in ("lstm", "bigru", "transformer"):
        padding = single("scaling", None, f"padding {model} var c64", "padding_efficiency")
        yield Target(f"padding efficiency under load, {model}", "≥", 0.9, "", padding)
    yield from _own_targets()


def _own_targets() -> Iterator[Target]:
    """Those that need no peer."""

    def int8_by_fp32(parts: Parts) -> Figure | None:
        closed = parts["closed"]
        over, under = (closed.values(name, MIXED, "throughput") for name in (INT8, BINARY))
        return ratio(over, under, f"{INT8} / {BINARY}")

    yield Target("int8 / fp32, log-normal lengths, binary", "≥", 1.7, "", int8_by_fp32)
    for name, pool in ((JSON, "var"), (BINARY, "var"), (BINARY, "b32")):
        over, under = overload_case(pool), capacity_case(pool)
        goodput = within("overload", name, over, under, "goodput")
        yield Target(f"5x overload, {name} {pool}: goodput / capacity", "≥", 0.95, "", goodput)
        p99 = single("overload", name, over, "p99")
        about = f"5x overload, {name} {pool}: p99 of the accepted"
        yield Target(about, "≤", 1_000 * DEADLINE_S, " ms", p99)
    loaded = within("scaling", None, "loaded 100", "loaded 1")
    yield Target("100 models loaded, one used: throughput / 1 loaded", "≥", 0.95, "", loaded)
    yield Target("memory a model", "≤", 5, " MiB", memory_a_model)
    start = single("footprint", None, "cold start", "ready_s")
    yield Target("cold start: process start to ready, bundled models", "≤", 2.5, " s", start)
    memory = single("footprint", None, "bundled models under load", "server_mib")
    yield Target("resident memory, bundled models under load", "≤", 200, " MiB", memory)
