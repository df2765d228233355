"""Closed loop: every contestant in each case, one after the other, in rounds of rotated order."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.contestants.contestant import Contestant
from benchmarks.generator import Load
from benchmarks.results import Part
from benchmarks.session import Session


@dataclass(frozen=True)
class Case:
    """A model, a pool of the workload, and how many connections ask."""

    model: str
    pool: str
    connections: int

    @property
    def name(self) -> str:
        """As the report shows it."""
        return f"{self.model} {self.pool} c{self.connections}"


CASES = [
    *(Case("lstm", pool, n) for pool in ("f64", "var") for n in (1, 8, 32, 64)),
    Case("lstm", "b32", 2),
    Case("bigru", "var", 64),
    Case("transformer", "var", 64),
]


def rotated(contestants: list[Contestant], by: int) -> list[Contestant]:
    """The same in another order, those of one server side by side."""
    by %= max(1, len(contestants))
    return contestants[by:] + contestants[:by]


def measure_round(session: Session, number: int, cases: list[Case]) -> None:
    """Measure `cases` once; the order of the contestants is the round's own.

    Contestants that can't be stopped where they stand do all cases in one go.
    """
    part, contestants = session.part("closed"), session.contestants
    patient = [c for c in contestants if c.pausable]
    for index, case in enumerate(cases):
        for contestant in rotated(patient, number * len(patient) // session.rounds + index):
            _measure_case(session, part, contestant, case)
    for contestant in [c for c in contestants if not c.pausable]:
        for case in cases:
            _measure_case(session, part, contestant, case)
    session.fleet.rest()


def _measure_case(session: Session, part: Part, contestant: Contestant, case: Case) -> None:
    if case.model not in contestant.models:
        return
    load = Load(case.connections, session.seconds)
    session.measure(part, contestant, case.model, session.pool(case.pool), case.name, load)
