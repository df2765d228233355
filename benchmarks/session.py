"""One run of the comparison: wakes contestants, checks their answers, measures and records."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants.contestant import Contestant
from benchmarks.generator import (
    GeneratorError,
    Load,
    Prepared,
    ask_each,
    run_load,
    write_prepared,
)
from benchmarks.results import Part, Record, about_run, read_part, utc_now
from benchmarks.servers.fleet import Address, Fleet, StartError
from benchmarks.servers.processes import cpu_s, family, resident_mib
from benchmarks.workload import (
    SHORT,
    TOLERANCE,
    Pool,
    expected_logits,
    pool,
)
from service.manifest import Precision

CHECK_CONNECTIONS = 16
VERSIONS_OF = (
    "bentoml", "fastapi", "kserve", "litserve", "mlserver", "mosec", "msgspec", "nvidia-pytriton",
    "onnxruntime", "orjson", "ray", "seqserve", "torchserve", "uvicorn",
)  # fmt: skip


class WrongAnswerError(Exception):
    """A contestant answers otherwise than onnxruntime alone."""


FAILURES = (StartError, WrongAnswerError, GeneratorError, OSError)


@dataclass
class Session:
    """What a run's parts share.

    Args:
        repository: The comparison's bundles.
        contestants: Those that take part.
        results: Folder of the parts' files.
        scratch: Folder for prepared requests.
        rounds: Interleaved ones.
        seconds: Of one measurement.
    """

    repository: Path
    contestants: list[Contestant]
    results: Path
    scratch: Path
    rounds: int
    seconds: float
    run: str = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.repository, self.contestants)
        self._parts: dict[str, Part] = {}
        self._pools: dict[str, Pool] = {}
        self._expected: dict[tuple[str, str, str], list[NDArray[np.float32]]] = {}
        self._checked: dict[tuple[str, str, str], float] = {}
        self._failed: dict[tuple[str, str], str] = {}  # by contestant and model, or ''

    def part(self, name: str) -> Part:
        """A part's file, with this run entered."""
        if name not in self._parts:
            part = self._parts[name] = read_part(self.results, name)
            part.runs[self.run] = about_run({"rounds": self.rounds, "seconds": self.seconds})
        return self._parts[name]

    def pool(self, name: str) -> Pool:
        """A pool of the workload, made once."""
        if name not in self._pools:
            self._pools[name] = pool(name)
        return self._pools[name]

    def prepare(self, contestant: Contestant, model: str, asked: Pool) -> Path:
        """The pool's requests in this contestant's format, as a file."""
        path = self.scratch / f"{contestant.name}-{model}-{asked.name}.bin"
        if not path.exists():
            requests = [
                Prepared(contestant.request(model, request), asked.group(index))
                for index, request in enumerate(asked.requests)
            ]
            write_prepared(path, requests)
        return path

    def measure(
        self, part: Part, contestant: Contestant, model: str, asked: Pool, case: str, load: Load
    ) -> Record | None:
        """Measure a contestant and record it; None, with the reason kept, if it fails."""
        if {(contestant.name, ""), (contestant.name, model)} & self._failed.keys():
            return None
        about = part.contestants.setdefault(contestant.name, {})
        about |= {
            "server": contestant.server,
            "wire": contestant.wire,
            "settings": contestant.settings,
        }
        try:
            address = self.fleet.wake(contestant)
            about["versions"] = about.get("versions") or versions(self.fleet.command(contestant))
            error = self.check(contestant, model, asked)
            about.setdefault("worst_error", {})[f"{model}-{asked.name}"] = error
            about.get("failed", {}).pop(model, None)
            path, pid = self.prepare(contestant, model, asked), self.fleet.pid(contestant)
            return self.record(part, contestant.name, case, (address, pid), path, load)
        except FAILURES as error:
            started = not isinstance(error, StartError)
            self._failed[contestant.name, model if started else ""] = str(error)
            about.setdefault("failed", {})[model] = f"{case}: {error}"
            part.save()
            print(f"  {case:24} {contestant.name:22} failed: {error}", flush=True)
            return None

    def record(
        self,
        part: Part,
        contestant: str,
        case: str,
        server: tuple[Address, int],
        requests: Path,
        load: Load,
    ) -> Record:
        """Put a load on a server, given as its address and first process, and record it.

        Raises:
            GeneratorError: The load generator failed.
        """
        address, pid = server
        before_s = cpu_s(family(pid))
        result = run_load(address, requests, load)
        used = family(pid)
        record = {"contestant": contestant, "case": case, **self.stamp(), **summary(result)}
        record["server_cpu_s"] = round(cpu_s(used) - before_s, 3)
        record["answers"] = result["answers"]
        record["server_mib"] = round(resident_mib(used), 1)
        part.add(record)
        print_record(record)
        return record

    def _expect(self, contestant: Contestant, model: str, asked: Pool) -> list[NDArray[np.float32]]:
        precision: Precision = "int8" if "int8" in contestant.name else "fp32"
        key = (model, precision, asked.name)
        if key not in self._expected:
            self._expected[key] = expected_logits(self.repository, model, precision, asked)
        return self._expected[key]

    def working(self, *names: str) -> list[Contestant]:
        """Those of `names` that take part, start, and answer the LSTM's mixed lengths rightly."""
        found = []
        for contestant in self.contestants:
            if contestant.name not in names:
                continue
            try:
                self.fleet.wake(contestant)
                self.check(contestant, "lstm", self.pool("var"))
            except FAILURES as error:
                print(f"  {contestant.name}: {error}", flush=True)
            else:
                found.append(contestant)
        self.fleet.rest()
        return found

    def stamp(self) -> Record:
        """What says when a record was made."""
        return {"run": self.run, "utc": utc_now()}

    def check(self, contestant: Contestant, model: str, asked: Pool) -> float:
        """Hold every answer to the pool against onnxruntime alone, once; the worst error.

        Raises:
            WrongAnswerError: One differs by more than the tolerance, or is none.
        """
        key = (contestant.name, model, asked.name)
        if key not in self._checked:
            path = self.prepare(contestant, model, asked)
            address = self.fleet.wake(contestant)
            answers = ask_each(address, path, self.scratch, CHECK_CONNECTIONS)
            worst = 0.0
            for answer, right in zip(answers, self._expect(contestant, model, asked), strict=True):
                if answer is None or answer.status != 200:
                    raise WrongAnswerError(f"no answer to check: {answer}"[:300])
                logits = contestant.logits(answer.body, answer.headers)
                if logits.shape != right.shape:
                    raise WrongAnswerError(f"shape {logits.shape}, not {right.shape}")
                worst = max(worst, float(np.abs(logits - right).max()))
            if not worst <= TOLERANCE:
                raise WrongAnswerError(f"logits off by {worst:.2g}, more than {TOLERANCE:g}")
            self._checked[key] = worst
        return self._checked[key]


def summary(result: dict[str, Any]) -> Record:
    """What is kept of the generator's result; latencies in ms."""
    short = result["groups"].get(str(SHORT), {})
    refused = {k: v for k, v in result["statuses"].items() if k != "200"}
    return {
        "throughput": round(result["throughput"], 1),
        "goodput": round(result["goodput"], 1),
        **{name: result["latency_ms"].get(name) for name in ("p50", "p99", "p99_9")},
        "short_p99": short.get("p99"),
        "offered": result["offered"],
        "dropped": result["dropped"],
        "unanswered": result["unanswered"],
        "errors": result["errors"],
        "refused": refused,
        "refused_p50": result["refused_latency_ms"].get("p50"),
        "generator_cpu_s": result["cpu_s"],
        "seconds": result["seconds"],
    }


def print_record(record: Record) -> None:
    """One line, while it runs."""
    p50, p99 = record["p50"] or 0.0, record["p99"] or 0.0
    bad = f"  errors {record['errors']} {record['refused']}"
    print(
        f"  {record['case']:24} {record['contestant']:22} {record['throughput']:9.1f}/s"
        f"  p50 {p50:8.2f} ms  p99 {p99:8.2f} ms"
        f"{bad if record['errors'] or record['refused'] else ''}",
        flush=True,
    )


def versions(command: list[str]) -> dict[str, str]:
    """The distributions that matter, in the environment of a server's own interpreter."""
    script = (
        "import importlib.metadata as m, json, sys\n"
        "found = {}\n"
        "for name in sys.argv[1:]:\n"
        "    try: found[name] = m.version(name)\n"
        "    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    python = command[0] if "python" in Path(command[0]).name else sys.executable
    done = subprocess.run([python, "-c", script, *VERSIONS_OF], capture_output=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found
