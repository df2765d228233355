"""`python -m benchmarks.capacity`: measure (six minutes), write docs/scaling.md's tables."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from benchmarks.capacity import page
from benchmarks.capacity.measure import Bench, measure
from benchmarks.results import utc_now
from benchmarks.servers.serving import machine, write_result

RESULT = Path(__file__).parent.parent / "results" / "capacity.json"
MODELS = ("digits-lstm", "digits-transformer")


def main() -> None:
    """Measure one model after the other, on one core and on two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--page-only", action="store_true", help="from the results there are")
    options = parser.parse_args()
    if not options.page_only:
        cores = sorted(os.sched_getaffinity(0))[:2]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "repository")
            folder.mkdir()
            for model in options.models:
                (folder / model).symlink_to(Path("repository", model).absolute())
            bench = Bench(folder, Path(scratch), options.seconds, options.rounds)
            servers = [
                measure(bench, model, cores[:count], cores)
                for model in options.models
                for count in (1, 2)
            ]
        about = {"utc": utc_now(), "machine": machine()}
        sizes = {"seconds": options.seconds, "rounds": options.rounds}
        write_result(RESULT, {**about, **sizes, "servers": servers})
    results = json.loads(RESULT.read_text())
    print(page.render(results))
    page.write(results)


if __name__ == "__main__":
    main()
