"""A span for each request, whatever way it came, and in it what its job waited for and took."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from service.native import read_trace_parent, sampled_trace_id
from service.telemetry.settings import TelemetrySettings
from service.telemetry.tracing import Tracing
from tests.grpc.asking import message, padded, serving_grpc
from tests.http.made import copy_bundle
from tests.http.payloads import JSON, frames, infer_body, infer_path, predict_body, predict_path
from tests.monitoring.collector import Collector, Span, collecting
from tests.servers import Server, serving

LSTM = "digits-lstm"
OPEN_METRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}


def parent(sampled: bool = True) -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-0{int(sampled)}"


class Asked:
    """What was asked, each in its own way: the trace that it was to be a part of, by way."""

    def __init__(self) -> None:
        self.parents: dict[str, str] = {}
        self.responses: dict[str, str] = {}

    def headers(self, way: str, sampled: bool = True) -> dict[str, str]:
        self.parents[way] = parent(sampled)
        return {"traceparent": self.parents[way]}


def ask_all_ways(server: Server, asked: Asked) -> None:
    client = server.client
    body = infer_body(frames(20), frames(7))
    for turn in range(4):  # the lane knows it by heart at last
        answer = client.post(infer_path(LSTM), json=body, headers=asked.headers(f"lane {turn}"))
        assert answer.status_code == 200
        asked.responses[f"lane {turn}"] = answer.headers["traceresponse"]
    answer = client.post(
        predict_path(LSTM), json=predict_body(frames(9)), headers=asked.headers("predict")
    )
    asked.responses["predict"] = answer.headers["traceresponse"]
    # a body in chunks goes through the application
    headers = {**JSON, **asked.headers("application")}
    content = client.build_request("POST", infer_path(LSTM), json=body).content
    answer = client.post(infer_path(LSTM), content=iter([content]), headers=headers)
    assert answer.status_code == 200
    asked.responses["application"] = answer.headers["traceresponse"]
    unfit = client.post(infer_path(LSTM), content=b"{", headers={**JSON, **asked.headers("bad")})
    assert unfit.status_code == 400
    missing = client.post(infer_path("none"), json=body, headers=asked.headers("missing"))
    assert missing.status_code == 404
    quiet = client.post(infer_path(LSTM), json=body, headers=asked.headers("unsampled", False))
    assert "traceresponse" not in quiet.headers
    alone = client.post(infer_path(LSTM), json=body)
    asked.responses["alone"] = alone.headers["traceresponse"]
    broken = client.post(infer_path(LSTM), json=body, headers={"traceparent": "00-1-2-01"})
    asked.responses["broken"] = broken.headers["traceresponse"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("traces")
    copy_bundle(LSTM, repository)
    return repository


@pytest.fixture(scope="module")
def traced(repository: Path) -> Iterator[tuple[Collector, Asked, str]]:
    """What a collector has when the server has ended, what was asked, and the metrics before."""
    asked = Asked()
    with collecting() as collector:
        options: dict[str, Any] = {"otlp_endpoint": collector.endpoint, "trace_sample_ratio": 1}
        with serving_grpc(repository, engine_threads=1, **options) as server:
            ask_all_ways(server.process, asked)
            metadata = list(asked.headers("grpc").items())
            call = server.stub.ModelInfer.with_call(
                message(LSTM, padded(frames(20), frames(7))), metadata=metadata, timeout=30
            )[1]
            asked.responses["grpc"] = dict(call.trailing_metadata())["traceresponse"]
            settings = server.process.client.get("/v2/trace/setting").json()
            assert (settings["trace_rate"], settings["trace_mode"]) == ("1", "opentelemetry")
            metrics = server.process.client.get("/metrics", headers=OPEN_METRICS).text
        yield collector, asked, metrics


Traced = tuple[Collector, Asked, str]
ANSWERED = ["lane 0", "lane 1", "lane 2", "lane 3", "predict", "application", "grpc"]


def span_of(traced: Traced, way: str) -> Span:
    collector, asked, _ = traced
    _, trace_id, span_id, _ = asked.parents[way].split("-")
    (span,) = (it for it in collector.requests() if it.trace_id == trace_id)
    assert span.parent_id == span_id
    return span


@pytest.mark.parametrize("way", ANSWERED)
def test_the_stages_of_a_request_follow_each_other_inside_of_it(traced: Traced, way: str) -> None:
    span = span_of(traced, way)
    inside = traced[0].inside(span)
    assert inside.keys() == {"queue", "batch", "compute"}
    queue, batch, compute = inside["queue"], inside["batch"], inside["compute"]
    assert span.begun_ns <= queue.begun_ns
    assert queue.begun_ns <= queue.until_ns == batch.begun_ns
    assert batch.begun_ns <= batch.until_ns == compute.begun_ns
    assert compute.begun_ns < compute.until_ns <= span.until_ns
    assert span.until_ns - span.begun_ns < 30e9
    rows = 1 if way == "predict" else 2
    steps = 9 if way == "predict" else 27
    assert span.attributes["seqserve.model"] == LSTM
    assert span.attributes["seqserve.version"] == "1"
    assert span.attributes["seqserve.precision"] == "fp32"
    assert span.attributes["seqserve.outcome"] == "ok"
    assert span.attributes["seqserve.sequences"] == rows
    assert span.attributes["seqserve.steps"] == steps
    assert span.attributes["url.path"].startswith(("/v", "/inference."))
    assert 1 <= compute.attributes["seqserve.batch_size"] <= rows
    assert compute.attributes["seqserve.runs"] >= 1
    assert span.resource["service.name"] == "seqserve"
    assert span.name == {"predict": "v1", "grpc": "grpc"}.get(way, "v2")


@pytest.mark.parametrize("way", ANSWERED)
def test_the_answer_tells_of_its_span(traced: Traced, way: str) -> None:
    span = span_of(traced, way)
    assert traced[1].responses[way] == f"00-{span.trace_id}-{span.span_id}-01"


@pytest.mark.parametrize("way", ["alone", "broken"])
def test_without_a_fit_parent_it_is_a_trace_of_its_own(traced: Traced, way: str) -> None:
    _, trace_id, span_id, _ = traced[1].responses[way].split("-")
    (span,) = (it for it in traced[0].requests() if it.trace_id == trace_id)
    assert (span.span_id, span.parent_id) == (span_id, "")
    assert traced[0].inside(span).keys() == {"queue", "batch", "compute"}


def test_a_wall_clock_that_is_set_meanwhile_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        settings = TelemetrySettings(otlp_endpoint=collector.endpoint, trace_sample_ratio=1)
        tracing = Tracing(settings, 0)
        begun_s = time.perf_counter()
        traced = tracing.begin("v2", "/", "id", "", begun_s)
        assert traced is not None
        now_ns = time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: now_ns - 3_600 * 10**9)
        traced.end("ok", None, None, begun_s + 0.25)
        monkeypatch.undo()
        tracing.close()
    (span,) = collector.spans
    assert abs(span.until_ns - span.begun_ns - 250_000_000) <= 2  # what floats leave of it
    assert abs(span.begun_ns - now_ns) < 10e9


def test_a_refused_request_has_a_span_that_says_why(traced: Traced) -> None:
    for way, code in (("bad", "invalid_request"), ("missing", "model_not_found")):
        span = span_of(traced, way)
        assert span.attributes["error.type"] == code
        assert span.status == 0  # of the caller's doing: no error of the server's
        assert traced[0].inside(span) == {}


def test_what_the_caller_does_not_record_is_not_told(traced: Traced) -> None:
    trace_id = traced[1].parents["unsampled"].split("-")[1]
    assert all(it.trace_id != trace_id for it in traced[0].spans)
    assert trace_id not in traced[2]


def test_the_latencies_buckets_point_to_traces(traced: Traced) -> None:
    exemplars = {
        sample.exemplar.labels["trace_id"]: (sample, sample.exemplar)
        for family in text_string_to_metric_families(traced[2])  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar
    }
    known = {it.trace_id for it in traced[0].requests()}
    assert exemplars
    assert exemplars.keys() <= known
    for sample, exemplar in exemplars.values():
        assert sample.name == "seqserve_request_duration_seconds_bucket"
        assert 0 < exemplar.value <= float(sample.labels["le"])
        assert exemplar.timestamp


def test_exemplars_need_no_traces_of_our_own_and_the_plain_format_has_none(
    repository: Path,
) -> None:
    said = parent()
    with serving(repository, engine_threads=1) as server:
        for turn in range(3):
            headers = {"traceparent": said if turn else parent(sampled=False)}
            answer = server.client.post(
                infer_path(LSTM), json=infer_body(frames(5)), headers=headers
            )
            assert "traceresponse" not in answer.headers
        text = server.client.get("/metrics", headers=OPEN_METRICS).text
        assert f'# {{trace_id="{said.split("-")[1]}"}}' in text
        assert "trace_id" not in server.client.get("/metrics").text


def test_a_collector_that_is_down_harms_no_request(repository: Path) -> None:
    endpoint = "http://127.0.0.1:9/v1/traces"
    with serving(repository, engine_threads=1, otlp_endpoint=endpoint, trace_sample_ratio=1,
                 failures_expected=True) as server:  # fmt: skip
        for _ in range(3):
            answer = server.client.post(infer_path(LSTM), json=infer_body(frames(5)))
            assert answer.status_code == 200


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "read"),
    [
        (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-01"),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", f"00-{TRACE}-{SPAN}-01"),
        (f"00-{TRACE}-{SPAN}-01-more", ""),
        (f"cc-{TRACE}-{SPAN}-01.more", ""),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE.upper()}-{SPAN}-01", ""),
        (f"00_{TRACE}-{SPAN}-01", ""),
        (f"00-{TRACE}-{SPAN}-0", ""),
        ("", ""),
    ],
)
def test_a_trace_parent_is_read_as_its_recommendation_says(header: str, read: str) -> None:
    assert read_trace_parent(header.encode()) == read
    assert sampled_trace_id(read) == (TRACE if read.endswith("01") else "")
