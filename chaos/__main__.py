"""`python -m chaos [scenario ...]`: run the scenarios, print a table; 1 if one failed."""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from chaos.report import Report, table, write
from chaos.scenarios import (
    clock,
    corrupt_bundle,
    disk,
    drain,
    full_log,
    hung_graph,
    hung_storage,
    killed_worker,
    memory,
    overload,
    storm,
    worker_loop,
)

SCENARIOS = {
    "killed worker": killed_worker.run,
    "killed worker loop": worker_loop.run,
    "SIGTERM under load": drain.run,
    "disk full": disk.run_full,
    "read-only repository": disk.run_read_only,
    "hung storage": hung_storage.run,
    "corrupt bundle": corrupt_bundle.run,
    "clock jumps": clock.run,
    "5 x overload": overload.run,
    "half-open and slow connections": storm.run,
    "full log pipe": full_log.run,
    "graph that hangs": hung_graph.run,
    "graph that allocates wildly": memory.run_greedy,
    "address space limit": memory.run_address_space,
    "cgroup memory limit": memory.run_cgroup,
}


def main() -> int:
    """Run those that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[[], *SCENARIOS], metavar="scenario")
    names = parser.parse_args().scenarios or list(SCENARIOS)
    reports = []
    for name in names:
        report, began_s = Report(name), time.monotonic()
        try:
            SCENARIOS[name](report)
        except Exception as error:  # noqa: BLE001 - the other scenarios say something all the same
            traceback.print_exc()
            report.failed.append(f"{type(error).__name__}: {str(error)[:300]}")
        reports.append(report)
        sys.stderr.write(f"{name}: {report.verdict} after {time.monotonic() - began_s:.1f} s\n")
    write(reports)
    print(table(reports))
    return 1 if any(it.failed for it in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
