"""docs/monitoring.md names every metric, alert and setting that there is, and no other."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from service.settings import Settings
from service.telemetry import settings as telemetry_settings
from service.telemetry.metrics import Metrics
from service.telemetry.settings import TelemetrySettings
from tests.servers import CHECKOUT

TEXT = (CHECKOUT / "docs" / "monitoring.md").read_text()


def test_every_metric_is_documented_and_no_other() -> None:
    families = list(Metrics().registry.collect())
    totals = {f"{it.name}_total" for it in families if it.type == "counter"}
    names = totals | {it.name for it in families if it.type != "counter"}
    ours = {name for name in names if name.startswith("seqserve_")}
    assert ours == set(re.findall(r"^\| `(seqserve_\w+)`", TEXT, re.MULTILINE))


def test_every_alert_is_documented() -> None:
    rules = (CHECKOUT / "deploy" / "prometheus" / "rules" / "alerts.yml").read_text()
    text = TEXT.replace("`…Slow`", "`SeqserveErrorBudgetBurnSlow`, `SeqserveLatencyBudgetBurnSlow`")
    for alert in re.findall(r"- alert: (\w+)", rules):
        assert f"`{alert}`" in text
    headings = {it.lower() for it in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)}
    assert set(re.findall(r"docs/monitoring\.md#(\w+)", rules)) <= headings


def test_without_the_extra_a_clear_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry_settings, "OTEL_PACKAGES", ("opentelemetry.no_such.part",))
    with pytest.raises(ValidationError, match=r"seqserve\[otel\]"):
        Settings(otlp_endpoint="http://localhost:4318/v1/traces")
    assert TelemetrySettings().otlp_endpoint is None
