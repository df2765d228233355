"""Make the Prometheus operator's resources of deploy/prometheus/rules, comments and all.

python deploy/prometheus_rule.py            writes it
python deploy/prometheus_rule.py --check    ends with 1 if it is not what would be written
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

DEPLOY = Path(__file__).parent
RULES = DEPLOY / "prometheus" / "rules"
MADE = DEPLOY / "kubernetes" / "monitored" / "prometheus-rules.yaml"
HEAD = """\
---
# Made by `make rules` of deploy/prometheus/rules/{file}: change that.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: seqserve-{name}
spec:
"""


def resources() -> str:
    """One for each file, as names of groups are unique in a resource as they are in a file."""
    return "".join(
        HEAD.format(file=path.name, name=path.stem) + textwrap.indent(path.read_text(), "  ")
        for path in sorted(RULES.glob("*.yml"))
    )


def main() -> int:
    """0; 1 if something was to be checked, and differs."""
    made = resources()
    if "--check" in sys.argv[1:]:
        if MADE.read_text() != made:
            sys.stderr.write(f"{MADE} is not what is in {RULES}: `make rules` makes it anew\n")
            return 1
        return 0
    MADE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
