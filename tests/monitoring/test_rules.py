"""The shipped rules are valid, and each alert fires where it should and nowhere else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.errors import ServiceError
from tests.servers import CHECKOUT

PROMETHEUS = CHECKOUT / "deploy" / "prometheus"
ALERTS, RECORDING = (PROMETHEUS / "rules" / f"{name}.yml" for name in ("alerts", "recording"))
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool: deploy/debian_package.sh installs it"
)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@needs_promtool
def test_the_configuration_and_its_rules_are_valid() -> None:
    checked = promtool("check", "config", "--lint-fatal", PROMETHEUS / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "2 rule files found" in checked.stdout


@needs_promtool
def test_every_alert_fires_where_it_should() -> None:
    tested = promtool("test", "rules", *UNIT_TESTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_tested_for_firing_and_for_not() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", ALERTS.read_text()))
    tests = "\n".join(path.read_text() for path in UNIT_TESTS)
    cases = re.findall(r"alertname: (\w+)\n +exp_alerts:( \[\])?", tests)
    assert alerts == {name for name, is_quiet in cases if not is_quiet}
    assert alerts == {name for name, is_quiet in cases if is_quiet}


def test_the_error_budget_is_spent_by_the_servers_own_faults() -> None:
    (outcomes,) = set(re.findall(r'outcome=~"([^"]+)"', RECORDING.read_text()))
    faults: set[type[ServiceError]] = {ServiceError, *subclasses(ServiceError)}
    codes = {it.code for it in faults if it.status_code >= 500 and it.code != "unsupported"}
    assert codes <= set(outcomes.split("|")) <= codes | {"overloaded"}


def subclasses(of: type[ServiceError]) -> set[type[ServiceError]]:
    return {it for direct in of.__subclasses__() for it in {direct, *subclasses(direct)}}
