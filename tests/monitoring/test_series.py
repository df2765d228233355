"""What alerts read of a model is there, at 0, before its first error, and goes after the model."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from service.telemetry.metrics import PROTOCOLS, Metrics
from service.telemetry.parts.series import FAULTS
from tests.http.made import copy_bundle
from tests.http.scrape import Scrape
from tests.servers import CHECKOUT, Server, serving

MODEL = "digits-lstm"
RECORDING = CHECKOUT / "deploy" / "prometheus" / "rules" / "recording.yml"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("series")
    copy_bundle(MODEL, repository)
    with serving(repository, engine_threads=1, grpc_port=0) as server:
        yield server


def test_the_rules_and_the_code_name_the_same_outcomes() -> None:
    (named,) = set(re.findall(r'outcome=~"([^"]+)"', RECORDING.read_text()))
    assert set(named.split("|")) == set(FAULTS)


def test_each_outcome_that_rules_read_begins_at_zero(server: Server) -> None:
    for model, version in ((MODEL, "1"), ("", "")):
        for protocol in (*PROTOCOLS, "grpc"):
            labels = f'model="{model}",outcome="%s",protocol="{protocol}",version="{version}"'
            text = Scrape(server).text
            for outcome in ("ok", *FAULTS):
                assert f"seqserve_requests_total{{{labels % outcome}}} 0.0\n" in text, labels
            assert f"seqserve_request_duration_seconds_count{{{labels % 'ok'}}} 0.0\n" in text
    assert "seqserve_worker_restarts_total 0.0\n" in Scrape(server).text


def churn(metrics: Metrics, numbers: range) -> int:
    """Load and unload a model of another name each time; the size of what is told then."""
    for number in numbers:
        name = f"model-{number}"
        model = metrics.of_model(name, "1")
        metrics.bear(name, "1")
        metrics.outcome(name, "1", "v1", "timeout").observe(0.1)
        metrics.forget_model(model)
        metrics.bring()
    return len(metrics.render()[0])


def test_series_of_unloaded_models_go() -> None:
    metrics = Metrics(kept_s=0)
    size = churn(metrics, range(1))
    assert abs(churn(metrics, range(1, 1_000)) - size) < 2_000
    held = [metrics._outcomes, metrics._departed._left_s, metrics._models]
    assert not any(held)
    kept = Metrics()
    churn(kept, range(3))
    assert all(f'model="model-{number}"' in kept.render()[0].decode() for number in range(3))


def test_no_line_says_when_a_counter_was_made_and_exemplars_stay() -> None:
    metrics = Metrics()
    metrics.bear("m", "1")
    tally = metrics.outcome("m", "1", "v1", "ok")
    tally.observe(0.02, "ab" * 16)
    text = metrics.render("application/openmetrics-text")[0].decode()
    assert "_created" not in text
    families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples]
    assert any(it.exemplar and it.exemplar.labels == {"trace_id": "ab" * 16} for it in samples)
