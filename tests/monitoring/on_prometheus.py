"""`make monitoring-test`: the shipped rules and the dashboard on a real Prometheus, under load.

It takes about a minute, and so is not among the tests that are run by default.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.payloads import frames, infer_body, infer_path
from tests.monitoring.prometheus import Prometheus, prometheus_of
from tests.servers import CHECKOUT, REPOSITORY, Server, serving, wait_until

sys.path.insert(0, str(CHECKOUT / "deploy"))
from dashboard import dashboard_queries

MODELS = (
    "digits-lstm", "digits-transformer", "spoken-digits-lstm", "languages-gru", "pos-birnn",
    "en-fr-gru", "shakespeare-gru", "traffic-gru",
)  # fmt: skip
DEMO_LOAD = CHECKOUT / "deploy" / "demo_load.py"
LOAD_S, PATIENCE_S = 300, 90.0
QUERIES = dashboard_queries()

pytestmark = [
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="no Prometheus: deploy/debian_package.sh installs it",
    ),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("repository")
    for name in MODELS:
        (repository / name).symlink_to(REPOSITORY / name)
    return repository


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with serving(
        repository, poll_repository_s=0.2, input_sample_share=1, input_window=100
    ) as server:
        yield server


@pytest.fixture(scope="module")
def prometheus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    target = server.base_url.removeprefix("http://")
    with prometheus_of(target, tmp_path_factory.mktemp("prometheus")) as prometheus:
        yield prometheus


def test_it_scrapes_the_server_and_finds_no_fault_in_the_rules(prometheus: Prometheus) -> None:
    wait_until(lambda: prometheus.query('up{job="seqserve"} == 1'))

    def evaluated() -> bool:
        groups = prometheus.get("/rules")["groups"]
        healths = {rule["health"] for group in groups for rule in group["rules"]}
        assert "err" not in healths, groups
        return len(groups) >= 7 and healths == {"ok"}

    wait_until(evaluated)


def test_a_refused_model_fires_an_alert_that_clears(
    prometheus: Prometheus, repository: Path
) -> None:
    alert = ("SeqserveModelLoadFailed", "broken")
    assert not prometheus.fires(alert[0])
    folder = repository / alert[1] / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"no graph")
    wait_until(lambda: prometheus.fires(alert[0], model=alert[1], version="1"))
    shutil.rmtree(folder.parent)
    wait_until(lambda: not prometheus.fires(alert[0]))


@pytest.fixture(scope="module")
def load(server: Server) -> Iterator[None]:
    """The demo load, until the tests are through."""
    command = [sys.executable, "-W", "error", str(DEMO_LOAD), server.base_url]
    command += ["--seconds", str(LOAD_S), "--rate", "50"]
    process = subprocess.Popen(command)
    yield
    assert process.poll() in (None, 0)
    process.terminate()
    process.wait()


@pytest.mark.usefixtures("load")
def test_every_query_of_the_dashboard_has_data(prometheus: Prometheus) -> None:
    missing = dict(QUERIES)

    def found() -> bool:
        for name in [*missing]:
            if prometheus.query(missing[name]):
                del missing[name]
        return not missing

    try:
        wait_until(found, PATIENCE_S)
    except AssertionError:
        pytest.fail(f"no data in {missing}")
    assert len(QUERIES) > 40


@pytest.mark.usefixtures("load")
def test_every_rule_that_is_recorded_has_data(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.get("/rules")["groups"] for rule in group["rules"]]
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    assert len(recorded) > 35
    wait_until(lambda: all(prometheus.query(name) for name in recorded), PATIENCE_S)


@pytest.mark.usefixtures("load")
def test_a_slow_bucket_points_to_a_trace(prometheus: Prometheus) -> None:
    def exemplars() -> list[dict[str, object]]:
        found = prometheus.get(
            "/query_exemplars",
            query="seqserve_request_duration_seconds_bucket",
            start="0",
            end="9999999999",
        )
        return [exemplar for series in found for exemplar in series["exemplars"]]

    wait_until(exemplars)
    assert all(str(it["labels"]).count("trace_id") == 1 for it in exemplars())


@pytest.mark.usefixtures("load")
def test_the_load_alone_neither_fails_nor_wakes_anybody(prometheus: Prometheus) -> None:
    bad = {"SeqserveDown", "SeqserveNotReady", "SeqserveErrorBudgetBurnFast"}
    assert not bad & {it["alertname"] for it in prometheus.firing()}


def test_a_first_burst_of_errors_burns_the_budget(server: Server, prometheus: Prometheus) -> None:
    alert, model = "SeqserveErrorBudgetBurnFast", "digits-transformer"
    assert not prometheus.fires(alert)
    body = infer_body(frames(64), parameters={"timeout": 1})  # a microsecond
    for _ in range(20):
        assert server.client.post(infer_path(model), json=body).status_code == 504
    wait_until(lambda: prometheus.fires(alert, model=model))
