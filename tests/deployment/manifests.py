"""What kustomize makes of deploy/kubernetes, and the ways to find something in it."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.servers import CHECKOUT

FOLDER = CHECKOUT / "deploy" / "kubernetes"
FOLDERS = ("base", "autoscaled", "kserve")

Resource = dict[str, Any]


@cache
def rendered(folder: str) -> list[Resource]:
    """As `kubectl apply -k` would send them, by the same program."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", FOLDER / folder], check=True, capture_output=True, text=True
    )
    assert not done.stderr, done.stderr  # deprecations
    return list(yaml.safe_load_all(done.stdout))


def one(folder: str, kind: str) -> Resource:
    """The only one of its kind."""
    (found,) = (resource for resource in rendered(folder) if resource["kind"] == kind)
    return found


def pod_template(folder: str) -> Resource:
    """The pods that a folder leads to, as KServe would make them, too."""
    if folder != "kserve":
        template: Resource = one(folder, "Deployment")["spec"]["template"]
        return template
    predictor = one(folder, "InferenceService")["spec"]["predictor"]
    spec = {
        "containers": one(folder, "ServingRuntime")["spec"]["containers"],
        "terminationGracePeriodSeconds": predictor["terminationGracePeriodSeconds"],
        "automountServiceAccountToken": predictor["automountServiceAccountToken"],
        "securityContext": predictor["securityContext"],
        "volumes": one(folder, "ServingRuntime")["spec"]["volumes"],
    }
    return {"metadata": {"labels": {}}, "spec": spec}


def container(folder: str) -> Resource:
    """The one container of each pod."""
    (found,) = pod_template(folder)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def environment(folder: str) -> dict[str, str]:
    """Of the container, as the node would fill it in."""
    described = container(folder)
    values = {}
    for variable in described["env"]:
        value = variable.get("value")
        if value is None:
            wanted = variable["valueFrom"]["resourceFieldRef"]
            assert wanted["containerName"] == described["name"]
            assert wanted["divisor"] == "1"
            part, _, name = wanted["resource"].partition(".")
            value = str(in_units(described["resources"][part][name]))
        values[variable["name"]] = value
    return values


def in_units(quantity: str) -> int:
    """A quantity as the node gives it to the container, with a divisor of 1."""
    number, suffix = re.fullmatch(r"(\d+)([KMGT]i)?", quantity).groups()  # type: ignore[union-attr]
    return int(number) << {None: 0, "Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}[suffix]
