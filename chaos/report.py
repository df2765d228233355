"""What a scenario saw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.servers.serving import machine
from chaos.clients import Tally

RESULTS = Path(__file__).parent / "results.json"


@dataclass
class Report:
    """Of one scenario.

    Args:
        name: Of the scenario.
    """

    name: str
    right: int = 0
    """Requests that got their right answer, at once or when they were sent again."""
    again: dict[str, int] = field(default_factory=dict)
    """How many were told to come again, or saw their connection break, by how."""
    wrong: int = 0
    lost: int = 0
    """Requests without an answer, or with an error that does not say that one may ask again."""
    seen: dict[str, Any] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    skipped: str = ""

    def count(self, tally: Tally) -> None:
        """Take in what clients saw."""
        self.right += tally.right
        self.wrong += tally.wrong
        self.lost += len(tally.lost)
        for how, number in tally.again.items():
            self.again[how] = self.again.get(how, 0) + number
        self.require(tally.right > 0, "no request was answered")
        self.require(not tally.wrong, f"{tally.wrong} wrong answers")
        self.require(not tally.lost, f"{len(tally.lost)} lost: {tally.lost[:3]}")

    def require(self, holds: object, otherwise: str) -> None:
        """Note a failure unless something holds."""
        if not holds:
            self.failed.append(otherwise)

    @property
    def verdict(self) -> str:
        """In a word."""
        return "skipped" if self.skipped else "FAILED" if self.failed else "ok"


def table(reports: Sequence[Report]) -> str:
    """A row each, as Markdown."""
    rows = [
        "| fault | | right | told to come again | wrong | lost | seen |",
        "|---|---|--:|---|--:|--:|---|",
    ]
    for it in reports:
        again = ", ".join(f"{n} {how}" for how, n in sorted(it.again.items())) or "0"
        seen = ", ".join(f"{what} {value}" for what, value in it.seen.items())
        rows.append(
            f"| {it.name} | {it.verdict} | {it.right} | {again} | {it.wrong} | {it.lost} | "
            f"{it.skipped or '; '.join(it.failed) or seen} |"
        )
    return "\n".join(rows)


def write(reports: Sequence[Report]) -> None:
    """Keep them, those of scenarios that did not run now as they were."""
    kept = json.loads(RESULTS.read_text())["scenarios"] if RESULTS.exists() else {}
    kept |= {it.name: asdict(it) | {"verdict": it.verdict} for it in reports}
    document = {"machine": machine(), "scenarios": kept}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
