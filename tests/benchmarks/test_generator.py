"""The load generator against a real server: it loses, doubles and swaps nothing, and counts all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.generator import GeneratorError, Load, Prepared, ask_each, run_load, write_prepared
from benchmarks.servers.serving import free_port
from tests.benchmarks.answering import AnsweringServer, answering

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="the generator is compiled by gcc")

CLOSED = Load(4, seconds=0.3, warmup_s=0.1)


@pytest.fixture(scope="module")
def server() -> Iterator[AnsweringServer]:
    with answering() as server:
        yield server


def prepared(path: str, body: bytes = b"body", group: int = 0) -> Prepared:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return Prepared(head.encode() + body, group)


kinds = st.sampled_from(["/length", "/chunked", "/close", "/vanish", "/status/429"])
bodies = st.one_of(st.binary(max_size=300), st.integers(10_000, 300_000).map(bytes))


@given(
    asked=st.lists(st.tuples(kinds, bodies), min_size=1, max_size=20),
    connections=st.integers(1, 8),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_each_request_gets_its_own_answer_whole(
    server: AnsweringServer, tmp_path: Path, asked: list[tuple[str, bytes]], connections: int
) -> None:
    requests = [
        prepared(path, index.to_bytes(2) + body) for index, (path, body) in enumerate(asked)
    ]
    file = write_prepared(tmp_path / "requests", requests)
    answers = ask_each(server.address, file, tmp_path, connections)
    for index, ((path, body), answer) in enumerate(zip(asked, answers, strict=True)):
        assert answer is not None
        assert answer.status == (429 if path == "/status/429" else 200)
        assert answer.body == index.to_bytes(2) + body
        assert ("transfer-encoding" in answer.headers) == (path == "/chunked")


def test_a_closed_loop_counts_statuses_and_groups(server: AnsweringServer, tmp_path: Path) -> None:
    requests = [prepared("/length", group=3), prepared("/chunked"), prepared("/status/503")]
    file = write_prepared(tmp_path / "requests", requests)
    result = run_load(server.address, file, CLOSED)
    ok, refused = result["statuses"]["200"], result["statuses"]["503"]
    assert result["groups"].keys() == {"0", "3"}
    assert result["groups"]["0"]["count"] + result["groups"]["3"]["count"] == ok
    assert result["latency_ms"]["count"] == ok
    assert result["refused_latency_ms"]["count"] == refused
    assert result["throughput"] == pytest.approx(ok / CLOSED.seconds, rel=1e-3)
    assert not result["errors"]
    assert not result["unanswered"]


@pytest.mark.parametrize("path", ["/close", "/vanish"])
def test_a_server_that_closes_its_connections_is_asked_on(
    server: AnsweringServer, tmp_path: Path, path: str
) -> None:
    file = write_prepared(tmp_path / "requests", [prepared(path)])
    result = run_load(server.address, file, CLOSED)
    assert result["statuses"]["200"] > 4
    assert not result["errors"]


def test_an_open_loop_accounts_for_every_arrival(server: AnsweringServer, tmp_path: Path) -> None:
    file = write_prepared(tmp_path / "requests", [prepared("/length"), prepared("/status/500")])
    load = replace(CLOSED, rate=300.0, seed=5)
    first, second = (run_load(server.address, file, load) for _ in range(2))
    for result in (first, second):
        assert sum(result["statuses"].values()) == result["offered"]
        assert not result["unanswered"]
    assert first["offered"] == second["offered"]  # the seed's
    assert 50 < first["offered"] < 130  # 90 expected, 9.5 its deviation


def test_what_is_never_answered_counts_with_the_age_it_reached(
    server: AnsweringServer, tmp_path: Path
) -> None:
    file = write_prepared(tmp_path / "requests", [prepared("/never")])
    load = Load(3, rate=100.0, drain_s=0.1, seconds=0.3, warmup_s=0.0)
    result = run_load(server.address, file, load)
    assert result["unanswered"] == result["offered"] == result["latency_ms"]["count"]
    assert result["latency_ms"]["max"] > 100.0
    assert result["throughput"] == 0


def test_arrivals_are_dropped_while_all_connections_are_busy(
    server: AnsweringServer, tmp_path: Path
) -> None:
    file = write_prepared(tmp_path / "requests", [prepared("/never")])
    load = Load(3, rate=100.0, drain_s=0.1, drop_when_busy=True, seconds=0.3, warmup_s=0.0)
    result = run_load(server.address, file, load)
    assert result["unanswered"] == 3
    assert result["dropped"] == result["offered"] - 3


def test_late_answers_are_no_goodput(server: AnsweringServer, tmp_path: Path) -> None:
    file = write_prepared(tmp_path / "requests", [prepared("/length")])
    result = run_load(server.address, file, replace(CLOSED, deadline_s=1e-9))
    assert result["throughput"] > 0
    assert result["goodput"] == 0


def test_nobody_listening_is_counted_as_errors(tmp_path: Path) -> None:
    file = write_prepared(tmp_path / "requests", [prepared("/length")])
    result = run_load(("127.0.0.1", free_port()), file, CLOSED)
    assert result["errors"] > 0
    assert result["throughput"] == 0


@pytest.mark.parametrize("damage", [b"", b"\0", b"\0\0\0\0\xff\0\0\0short", b"\xff\0\0\0\0\0\0\0"])
def test_a_damaged_file_of_requests_is_refused(
    server: AnsweringServer, tmp_path: Path, damage: bytes
) -> None:
    file = tmp_path / "requests"
    file.write_bytes(damage)
    with pytest.raises(GeneratorError, match="bad record"):
        run_load(server.address, file, CLOSED)
