"""Measure Seqserve against every peer side by side: `python -m benchmarks.compare`.

Each part writes `results/<part>.json` as it goes; `python -m benchmarks.report` makes the report.
A contestant that can't start or answers wrongly is reported as failed, and the run goes on.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.contestants.contestant import Contestant, contestants
from benchmarks.graphs import make_repository
from benchmarks.parts import closed, footprint, limit, open_loop, overload, scaling
from benchmarks.results import FOLDER, PARTS
from benchmarks.session import Session


def main() -> int:
    """Run the parts that are asked for; 1 if one failed."""
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cores = sorted(os.sched_getaffinity(0))[: arguments.cores]
    os.sched_setaffinity(0, cores)  # servers, generator and limit inherit it
    everyone = contestants()
    chosen = [c for c in everyone if matches(c, arguments.contestants)]
    with tempfile.TemporaryDirectory(prefix="seqserve-bench-") as folder:
        repository = arguments.repository
        if repository is None:
            print("making the graphs")
            repository = make_repository(Path(folder) / "repository")
        scratch = Path(folder) / "requests"
        scratch.mkdir()
        session = Session(
            repository, chosen, arguments.results, scratch, arguments.rounds, arguments.seconds
        )
        try:
            ran_through = run_parts(session, arguments.only or PARTS, arguments.cases or [""])
        finally:
            session.fleet.close()
    return 0 if ran_through else 1


def run_parts(session: Session, names: Sequence[str], words: Sequence[str]) -> bool:
    """The parts in their order, whatever becomes of one; whether all ran through.

    The rounds of the limit and of the closed loop alternate, so that their ratio is fair.
    """
    cases = [case for case in closed.CASES if any(word in case.name for word in words)]
    steps: list[tuple[str, Callable[[], None]]] = []
    for number in range(session.rounds):
        steps.append(("limit", partial(limit.measure_round, session)))
        steps.append(("closed", partial(closed.measure_round, session, number, cases)))
    for module in (open_loop, overload, scaling, footprint):
        name = module.__name__.rpartition(".")[2]
        steps.append((name, partial(module.measure, session)))
    ran_through = [_run_step(name, step) for name, step in steps if name in names]
    return all(ran_through)


def _run_step(name: str, step: Callable[[], None]) -> bool:
    started_s = time.monotonic()
    print(name, flush=True)
    try:
        step()
    except Exception:  # noqa: BLE001 - what the other parts measure is worth having
        traceback.print_exc()
        return False
    print(f"{name}: {time.monotonic() - started_s:.0f} s", flush=True)
    return True


def matches(contestant: Contestant, wanted: list[str]) -> bool:
    """Whether its name or its server's is asked for; all are, if none is named."""
    return not wanted or contestant.name in wanted or contestant.server in wanted


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts; default: all")
    parser.add_argument("--contestants", nargs="+", default=[], help="names; default: all")
    parser.add_argument("--cases", nargs="+", help="words in the names of the closed loop's cases")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.2, help="of one measurement")
    parser.add_argument("--cores", type=int, default=2, help="all that anything here may use")
    parser.add_argument("--repository", type=Path, help="made by benchmarks.graphs; default: anew")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the parts' files")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
