"""Measurements as files, one a part; written after each measurement, so that nothing is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.servers.serving import machine

FOLDER = Path(__file__).parent / "results"
PARTS = ("limit", "closed", "open_loop", "overload", "scaling", "footprint")

Record = dict[str, Any]


def utc_now() -> str:
    """ISO 8601, in seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@dataclass
class Part:
    """What one part of the comparison measured.

    Args:
        records: Each with `contestant`, `case`, `round`, `run` and what was measured.
        contestants: By name: server, wire, settings, versions; `failed` holds a reason.
        runs: By its start: machine and options of a run that these records come from.
    """

    path: Path
    records: list[Record] = field(default_factory=list)
    contestants: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the part."""
        return self.path.stem

    def add(self, record: Record) -> None:
        """Take a measurement; those of its contestant and case in earlier runs are replaced."""
        key = ("contestant", "case")
        self.records = [
            old
            for old in self.records
            if old["run"] == record["run"] or any(old[k] != record[k] for k in key)
        ]
        self.records.append(record)
        self.save()

    def save(self) -> None:
        """Write it, one record a line."""
        used = {record["run"] for record in self.records}
        head = {
            "runs": {run: about for run, about in self.runs.items() if run in used},
            "contestants": self.contestants,
        }
        lines = ",\n".join(json.dumps(record) for record in self.records)
        text = json.dumps(head, indent=1)[:-2] + f',\n "records": [\n{lines}\n]}}\n'
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.path)

    def values(self, contestant: str, case: str, quantity: str) -> list[float]:
        """Of every round that has it."""
        return [
            record[quantity]
            for record in self.records
            if record["contestant"] == contestant
            and record["case"] == case
            and record.get(quantity) is not None
        ]

    def median(self, contestant: str, case: str, quantity: str) -> float | None:
        """Over the rounds; None if it was not measured."""
        values = self.values(contestant, case, quantity)
        return float(np.median(values)) if values else None

    def measured(self, case: str) -> list[str]:
        """The contestants with records of this case, as they were added."""
        return unique(r["contestant"] for r in self.records if r["case"] == case)

    def cases(self) -> list[str]:
        """All cases with records."""
        return unique(r["case"] for r in self.records)


def unique(names: Iterable[str]) -> list[str]:
    """Each once, in order."""
    return list(dict.fromkeys(names))


def read_part(folder: Path, name: str) -> Part:
    """A part as it stands in `folder`; empty if it never ran."""
    path = folder / f"{name}.json"
    if not path.exists():
        return Part(path)
    document = json.loads(path.read_text())
    return Part(path, document["records"], document["contestants"], document["runs"])


def about_run(options: dict[str, Any]) -> dict[str, Any]:
    """What a run's records have in common."""
    return {"machine": machine(), "options": options}
