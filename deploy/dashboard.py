"""The queries of Grafana's dashboard, in a form that Prometheus itself can be asked."""

from __future__ import annotations

import json
import re
from pathlib import Path

DASHBOARD = Path(__file__).parent / "grafana" / "dashboards" / "seqserve.json"
# What Grafana puts in place of its variables: all models, and the shortest of its rate windows.
VARIABLES = {"$model": ".*", "$__rate_interval": "20s"}


def dashboard_queries() -> list[tuple[str, str]]:
    """Where each query stands, and its PromQL; the variables' own queries come last."""
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [
        (f"{panel['title']} {target['refId']}", _filled_in(target["expr"]))
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"]
            label_values = re.fullmatch(r"label_values\((\w+), (\w+)\)", query)
            if label_values is None:
                raise ValueError(f"variable {variable['name']} is not label_values(): {query}")
            metric, label = label_values.groups()
            queries.append((f"variable {variable['name']}", f'{metric}{{{label}!=""}}'))
    return queries


def _filled_in(expression: str) -> str:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression
